/**
 * show.ts: `locktable store show`: one snapshot, as its manifest has it.
 */
import type { Command } from 'commander'
import { archiveKind, type CryptKey, checkSignature, formatNamespace, formatSnapshot } from '../../datastore/index.js'
import { EXIT, Refusal } from '../exit-codes.js'
import { json, paint, print, size, table as printTable, visible } from '../output.js'
import { completeCommand, SNAPSHOT_ARGUMENT } from './command.js'
import { snapshotOf, type StoreOptions, withStore } from './common.js'
import { describeSnapshot, type SnapshotReport } from './describe.js'
import { addKeyOptions, type KeyOptions, openKey } from './key-option.js'
import { stateText } from './list.js'

interface ShowOptions extends StoreOptions, KeyOptions {
  readonly json?: boolean
}

type Signature = 'valid' | 'not checked' | 'none'

const HELP = `
With --keyfile the signature is checked: the status is 65 if the manifest was
changed after it was signed, 77 if the key is another one. Takes no lock.

Examples:
  locktable store show host/web1/latest
  locktable store show --json vm/100/latest | jq '.files[].size'
`

export function addShow(store: Command): void {
  const command = store.command('show')
    .summary('one snapshot: archives, notes, statistics')
    .description('Shows what a snapshot consists of.')
    .argument('<snapshot>', SNAPSHOT_ARGUMENT)
    .option('--json', 'for programs: one object')
  completeCommand(command, { help: HELP, exits: { [EXIT.ABSENT]: true }, inNamespace: true }, show)
  addKeyOptions(command)
}

async function show(text: string, options: ShowOptions): Promise<void> {
  await withStore(options, 'store show', async store => {
    const snapshot = await snapshotOf(store, text, options)
    const report = await describeSnapshot(store, snapshot, store.running())
    if (report === undefined) throw new Refusal(`there is no snapshot ${formatSnapshot(snapshot)}`, EXIT.ABSENT)
    if (report.error !== undefined) throw new Refusal(report.error, EXIT.DATA)
    const key = report.signed && options.keyfile !== undefined ? await openKey(options) : undefined
    const signature = await signatureOf(key, report, async () => checkSignature(await store.loadManifest(snapshot), key!, formatSnapshot(snapshot)))
    const whole = { repository: store.path, namespace: formatNamespace(snapshot.namespace), owner: await store.owner(snapshot), ...report, signature }
    print(options.json ? json(whole) : describe(whole))
  })
}

async function signatureOf(key: CryptKey | undefined, { signed }: SnapshotReport, check: () => Promise<void>): Promise<Signature> {
  if (!signed) return 'none'
  if (key === undefined) return 'not checked'
  await check()
  return 'valid'
}

function describe(report: SnapshotReport & { readonly namespace: string; readonly owner: string | undefined; readonly signature: Signature }): string {
  const { namespace, owner, running, keyFingerprint, signature, notes } = report
  const rows = [
    ['snapshot', report.snapshot],
    ...(namespace === '' ? [] : [['namespace', namespace]]),
    ['owner', visible(owner ?? '-')],
    ['state', `${stateText(report.state)}${running === undefined ? '' : ` by process ${running.pid} since ${running.since}`}${report.protected ? ', protected' : ''}`],
    ['verified', report.verification ?? 'never'],
    ['signature', `${signature}${keyFingerprint === undefined ? '' : `, key ${visible(keyFingerprint)}`}`],
    ['uploaded', uploadText(report.uploaded)],
    ...(notes === '' ? [['notes', '-']] : notes.split('\n').map((line, i) => [i === 0 ? 'notes' : '', visible(line)])),
  ]
  const files = report.files.map(({ filename, size: bytes, cryptMode, csum }) => [filename, archiveKind(filename) ?? '', size(bytes), cryptMode, `${csum.slice(0, 16)}…`])
  const parts = [printTable([], rows.map(([what = '', text = '']) => [paint.dim(what), text]))]
  if (files.length > 0) parts.push(printTable(['FILE', 'KIND', 'SIZE', 'CRYPT', 'CHECKSUM'], files))
  return parts.join('\n\n')
}

/** The manifest's own statistics, which another program may have written. */
function uploadText(uploaded: unknown): string {
  if (typeof uploaded !== 'object' || uploaded === null) return '-'
  const { count, size: bytes, compressed_size: stored, duplicates } = uploaded as Readonly<Record<string, unknown>>
  if (typeof count !== 'number' || typeof bytes !== 'number' || typeof stored !== 'number') return '-'
  return `${count} chunks, ${size(bytes)}, ${size(stored)} in the store${typeof duplicates === 'number' && duplicates > 0 ? `; ${duplicates} of them were there` : ''}`
}
