/**
 * status.ts: `locktable status` and `locktable inspect`: the table as it is now, seen from outside.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import type { ParticipantReport, SlotReport, TableReport } from '../index.js'
import { type TableOptions, addTableOptions, observeTable, parseName, parseSeconds, spaceOf } from './common.js'
import { EXIT, exitHelp } from './exit-codes.js'
import { duration, isTerminal, json, paint, print, table as printTable, together, visible } from './output.js'

interface LookOptions extends TableOptions {
  readonly json?: boolean
  readonly space?: string
  readonly watch?: boolean
  readonly interval: number
}

const STATUS_HELP = `
Columns:
  AGE      since the participant joined
  WAITING  of a participant: for how many slots; of a slot: who, for how long
  NAME     of the latest holder: names may share a slot
  FOR      since the slot's latest hold began
  NOTES    "abandoned by": a dead holder that the next one will be told about

With --json: one object with path, sizeBytes, createdAt, epoch, spaces,
pidNamespace (the looker's), participants, slots, waitsFor and cycles. Times
are milliseconds, in fields ending in Ms; 64-bit numbers are decimal strings.
With --watch: one a line.

Examples:
  locktable status
  locktable status --watch --interval 0.5
  locktable status --json | jq '.slots[] | select(.heldMs > 60000) | .name'
`

const INSPECT_HELP = `
Examples:
  locktable inspect vm/100
  locktable inspect --space snapshot --json vm/100/2026-11-21 | jq .holders
`

export function addStatus(program: Command): void {
  addTableOptions(program.command('status'))
    .summary('the table, who is in it, what is held and waited for')
    .description('Shows the table, its participants, and every slot that is held, waited for or abandoned, and deadlocks. Takes no lock.')
    .option('--json', 'for programs')
    .option('--watch', 'again and again, until interrupted')
    .addOption(new Option('--interval <seconds>', 'of --watch').argParser(parseSeconds).default(1000, '1'))
    .addHelpText('after', STATUS_HELP + exitHelp({ [EXIT.LOST]: '--watch: the table was removed' }))
    .action(async (_options: LookOptions, command: Command) => {
      await status(command.optsWithGlobals<LookOptions>())
    })
  addTableOptions(program.command('inspect'))
    .summary('one name: its slot, holders, waiters, version')
    .description('Shows the slot of NAME, in use or not. Other names may share the slot. Takes no lock.')
    .argument('<name>', 'the lock, a string', parseName)
    .option('--space <name>', "the lock's space (default: the table's first)")
    .option('--json', 'for programs: one object')
    .addHelpText('after', INSPECT_HELP + exitHelp())
    .action((name: string, _options: LookOptions, command: Command) => {
      inspect(name, command.optsWithGlobals<LookOptions>())
    })
}

async function status(options: LookOptions): Promise<void> {
  const table = observeTable(options)
  try {
    do {
      const report = table.inspect()
      if (options.json) print(json(report, options.watch === true))
      else if (options.watch && isTerminal) process.stdout.write(screenful(statusText(report)))
      else print(`${statusText(report)}\n${options.watch ? '\n' : ''}`)
      if (options.watch) await sleep(options.interval)
    } while (options.watch)
  } finally {
    table.close()
  }
}

function inspect(name: string, options: LookOptions): void {
  const table = observeTable(options)
  try {
    const report = table.inspectName(name, spaceOf(table, options.space).name)
    print(options.json ? json({ asked: name, ...report }) : slotText(name, report, table.inspect().participants))
  } finally {
    table.close()
  }
}

/** From the top left, over what stands there, and no more than fits. */
function screenful(text: string): string {
  const rows = process.stdout.rows || 24
  const lines = text.split('\n')
  if (lines.length >= rows) lines.splice(rows - 2, Infinity, paint.dim(`… ${lines.length - rows + 2} more lines`))
  return `\x1b[H${lines.map(line => `${line}\x1b[K\n`).join('')}\x1b[J`
}

function statusText(report: TableReport): string {
  const { slots } = report
  // The dead who hold nothing are only numbers that wait to be used again.
  const participants = report.participants.filter(p => p.state === 'live' || p.state === 'joining' ||
    slots.some(slot => slot.holders.some(holder => holder.participant === p.number)))
  const parts = [
    printTable([], [
      [paint.dim('table'), `${visible(report.path)}, ${(report.sizeBytes / 2 ** 20).toFixed(1)} MiB, made ${report.createdAt.toISOString().replace('.000', '')}`],
      [paint.dim('spaces'), report.spaces.map(space => `${visible(space.name)} (${space.slotCount} slots)`).join(', ')],
    ]),
    participants.length === 0 ? 'no participants' : printTable(
      ['PARTICIPANT', 'PID', 'STATE', 'AGE', 'WAITING', 'LABEL'],
      participants.map(p => [String(p.number), String(p.pid), stateText(p.state), duration(p.ageMs), String(p.waitingCount), visible(p.label)])),
    slots.length === 0 ? 'nothing is held or waited for' : printTable(['SPACE', 'NAME', 'HELD BY', 'FOR', 'WAITING', 'NOTES'], slots.map(slotRow)),
  ]
  for (const cycle of report.cycles) {
    const pids = cycle.map(number => report.participants.find(p => p.number === number)?.pid ?? '?')
    parts.push(paint.bold(paint.red(`DEADLOCK: participants ${[...cycle, cycle[0]].join(' -> ')} wait for each other (pids ${pids.join(', ')})`)))
  }
  return parts.join('\n\n')
}

function stateText(state: ParticipantReport['state']): string {
  return state === 'live' ? paint.green(state) : paint.red(state)
}

function slotRow(slot: SlotReport): string[] {
  const holders = slot.holders.map(holder => `${holder.pid || 'unknown'} ${holder.mode}${holder.state === 'live' ? '' : ` (${stateText(holder.state)})`}`)
  const waiters = slot.waiters.map(waiter => `${waiter.pid} ${waiter.mode}${waiter.waitingMs === undefined ? '' : ` ${duration(waiter.waitingMs)}`}`)
  const notes = slot.abandonedByPids.map(pid => paint.yellow(`abandoned by ${pid}`))
  return [visible(slot.space), nameText(slot), together(holders), duration(slot.heldMs), together(waiters), notes.length === 0 ? '' : together(notes)]
}

function nameText(slot: SlotReport): string {
  return `${visible(slot.name)}${slot.nameIsCut ? '…' : ''}`
}

function slotText(name: string, slot: SlotReport, participants: readonly ParticipantReport[]): string {
  const about = (number: number, pid: number): string => {
    const label = participants.find(p => p.number === number)?.label ?? ''
    return `pid ${pid}, participant ${number}${label === '' ? '' : ` (${visible(label)})`}`
  }
  const another = slot.name === '' || slot.name === name || (slot.nameIsCut && name.startsWith(slot.name)) ? '' : '  (another name in the same slot)'
  const rows = [
    ['name', visible(name)],
    ['slot', `${slot.slot} of space ${visible(slot.space)}`],
    ['version', String(slot.version)],
    ['latest name', slot.name === '' ? '-' : nameText(slot) + another],
    ['contended', `${slot.contended} times`],
    ['state', slot.holders.length === 0 ? 'free' : `held ${slot.holders[0]?.mode ?? ''}, latest for ${duration(slot.heldMs)}`],
    ...slot.holders.map(holder => ['holder', `${about(holder.participant, holder.pid)}, ${holder.mode}${holder.state === 'live' ? '' : `, ${holder.state}`}`]),
    ...slot.waiters.map(waiter => ['waiter', `${about(waiter.participant, waiter.pid)}, ${waiter.mode}, for ${duration(waiter.waitingMs)}`]),
    ...slot.abandonedByPids.map(pid => ['abandoned', `by pid ${pid}: its name has not been locked exclusively since`]),
  ]
  return printTable([], rows.map(([what = '', text = '']) => [paint.dim(what), text]))
}
