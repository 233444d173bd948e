/**
 * status.ts: `locktable status` and `locktable inspect`: the table as it is now.
 */
import type { Command } from 'commander'
import type { LockTable, SlotReport, TableReport } from '../index.js'
import { type GlobalOptions, openTable } from './common.js'
import { duration, json, print, table as printTable } from './output.js'

interface LookOptions {
  readonly json?: boolean
  readonly space?: string
}

export function addStatus(program: Command): void {
  program.command('status')
    .summary('the table, who is in it, what is held and waited for')
    .description('Shows the table, its participants, and every slot that is held, waited for or abandoned. Takes no lock.')
    .option('--json', 'for programs: one JSON object')
    .addHelpText('after', '\nExamples:\n  locktable status\n  locktable --table /run/backup/locks status --json | jq .slots\n')
    .action(async (options: LookOptions, command: Command) => {
      await look(command, table => {
        const report = withoutUs(table.inspect(), table.participantNumber)
        print(options.json ? json(report) : statusText(report))
      })
    })
  program.command('inspect')
    .summary('one name: its slot, holders, waiters, version')
    .description('Shows the slot of NAME, in use or not. Other names may share the slot. Takes no lock.')
    .argument('<name>', 'the lock, a string')
    .option('--space <name>', "the lock's space (default: the table's first)")
    .option('--json', 'for programs: one JSON object')
    .action(async (name: string, options: LookOptions, command: Command) => {
      await look(command, table => {
        const report = table.inspectName(name, options.space)
        print(options.json ? json(report) : slotText(name, report))
      })
    })
}

async function look(command: Command, show: (table: LockTable) => void): Promise<void> {
  const table = await openTable(command.optsWithGlobals<GlobalOptions>().table, { create: false, watch: false, label: 'locktable status' })
  try {
    show(table)
  } finally {
    await table.close()
  }
}

/** The looker is no news. */
function withoutUs(report: TableReport, own: number): TableReport {
  return { ...report, participants: report.participants.filter(participant => participant.number !== own) }
}

function statusText(report: TableReport): string {
  const spaces = report.spaces.map(space => `${space.name} (${space.slotCount} slots)`).join(', ')
  const parts = [
    `table         ${report.path}, ${(report.sizeBytes / 2 ** 20).toFixed(1)} MiB, made ${report.createdAt.toISOString()}`,
    `spaces        ${spaces}`,
    '',
    report.participants.length === 0 ? 'no participants' : printTable(
      ['PARTICIPANT', 'PID', 'STATE', 'AGE', 'WAITING', 'LABEL'],
      report.participants.map(p => [String(p.number), String(p.pid), p.state, duration(p.ageMs), String(p.waitingCount), p.label]),
    ),
    '',
    report.slots.length === 0 ? 'nothing is held or waited for' : printTable(
      ['SPACE', 'NAME', 'HELD BY', 'FOR', 'WAITING', 'NOTES'], report.slots.map(slotRow)),
  ]
  for (const cycle of report.cycles) parts.push('', `DEADLOCK: participants ${[...cycle, cycle[0]].join(' -> ')} wait for each other`)
  return parts.join('\n')
}

function slotRow(slot: SlotReport): string[] {
  const holders = slot.holders.map(holder => `${holder.pid} ${holder.mode}${holder.state === 'live' ? '' : ` (${holder.state})`}`)
  const waiters = slot.waiters.map(waiter => `${waiter.pid} ${waiter.mode}${waiter.waitingMs === undefined ? '' : ` ${duration(waiter.waitingMs)}`}`)
  const notes = slot.abandonedByPids.map(pid => `abandoned by ${pid}`)
  return [slot.space, slot.nameIsCut ? `${slot.name}…` : slot.name, holders.join('\n') || '-', duration(slot.heldMs), waiters.join('\n') || '-', notes.join('\n')]
}

function slotText(name: string, slot: SlotReport): string {
  const lines = [
    `name          ${name}`,
    `slot          ${slot.slot} of space ${slot.space}`,
    `version       ${slot.version}`,
    `latest name   ${slot.name === '' ? '-' : slot.name}${slot.name === '' || slot.name === name ? '' : '  (another name in the same slot)'}`,
    `contended     ${slot.contended} times`,
    `held for      ${duration(slot.heldMs)}`,
  ]
  for (const holder of slot.holders) lines.push(`holder        pid ${holder.pid}, ${holder.mode}, ${holder.state}`)
  for (const waiter of slot.waiters) lines.push(`waiter        pid ${waiter.pid}, ${waiter.mode}, for ${duration(waiter.waitingMs)}`)
  for (const pid of slot.abandonedByPids) lines.push(`abandoned     by pid ${pid}; its name has not been locked exclusively since`)
  if (slot.holders.length === 0) lines.push('free')
  return lines.join('\n')
}
