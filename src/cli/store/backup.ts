/**
 * backup.ts: `locktable store backup`.
 */
import { hostname, userInfo } from 'node:os'
import { type Command, Option } from 'commander'
import {
  type BackupOptions, type BackupReport, backUp, checkAuthId, type CryptKey, type Datastore, digestToHex, formatNamespace, formatSnapshot, type GroupName, isCatalogue, parseTime,
  type Source, type SyncLevel,
} from '../../datastore/index.js'
import { EXIT, UsageError, exitHelp } from '../exit-codes.js'
import { complain, duration, json, print, size, table as printTable, visible } from '../output.js'
import { addNamespaceOption, addStoreOptions, addWaitOption, groupOf, makeNamespaces, namespaceOf, type StoreOptions, waiting, type WaitOption, withStore } from './common.js'
import { told, typed } from './errors.js'
import { STORE_EXITS } from './exits.js'
import { interruptible } from './interrupt.js'
import { addKeyOptions, type KeyOptions, keyPathOf, openKey } from './key-option.js'
import { measure } from './measure.js'
import { ProgressLine } from './progress.js'
import { sourcesOf } from './sources.js'

interface Options extends StoreOptions, WaitOption, KeyOptions {
  readonly group?: string
  readonly createNs?: boolean
  readonly owner?: string
  readonly time?: string
  readonly notes?: string
  readonly exclude: readonly string[]
  readonly oneFileSystem?: boolean
  readonly changeDetection?: 'metadata' | 'data'
  /** Undefined: if there is a key. */
  readonly encrypt?: boolean
  readonly sign?: boolean
  readonly sync?: SyncLevel
  readonly quiet?: boolean
  readonly json?: boolean
}

const HELP = `
What is backed up, and how, the archive's extension says:
  etc.tar:/etc            a directory, as a tar stream: modes, links, holes …
  disk.img:/dev/vg/root   an image, in blocks of 4 MiB; a file or block device
  vm.conf:/etc/vm.conf    a small file as it is (.conf, .log, .fw, .txt)
  data.bin:/var/data      any other: a file as a stream, cut by its content
  dump.sql:-              standard input

Only what the store does not have is stored. Files of directories, and images
that are files, are not even read if nothing about them has changed since the
group's previous snapshot: path, mode, owner, size, times, inode. What that
cannot see (a clock set back, say) --change-detection data finds: it reads all.

With a key (--keyfile or $LOCKTABLE_KEYFILE) the backup is encrypted and signed;
with --sign signed only; with --no-encrypt neither.

The group is locked until the backup has ended. A second one of the same group
is refused at once, and told by whom (status 75), or waits (--wait). ^C leaves
no snapshot.

Examples:
  locktable store backup etc.tar:/etc home.tar:/home --exclude '*.o'
  locktable store backup -g vm/100 disk.img:/dev/vg/vm-100 vm.conf:/etc/100.conf
  pg_dump shop | locktable store backup --group host/db shop.sql:-
`

export function addBackup(store: Command): void {
  addKeyOptions(addWaitOption(addNamespaceOption(addStoreOptions(store.command('backup')
    .summary('back up directories, images, files, or a stream')
    .description('Makes a snapshot.')
    .argument('<archive:path...>', 'what to back up; see below')
    .option('-g, --group <group>', 'host/NAME, vm/NUMBER, ct/NUMBER (default: host/ and the name of this machine)')
    .option('--create-ns', 'make the namespace if it is missing')
    .option('--owner <owner>', 'whose the group is (default: who you are, @pam)')
    .option('--time <time>', 'of the snapshot, like 2026-11-21T08:00:00Z (default: now)')
    .option('--notes <text>', 'about the snapshot')
    .addOption(new Option('--exclude <pattern>', 'leave out of directories; may be repeated').argParser((text: string, before: readonly string[]) => [...before, text]).default([], 'nothing'))
    .option('--one-file-system', 'leave out what is mounted in directories')
    .addOption(new Option('--change-detection <how>', 'what tells that a file is as it was').choices(['metadata', 'data']).default('metadata'))
    .option('--encrypt', 'fail if there is no key')
    .option('--no-encrypt', 'not even if there is a key')
    .option('--sign', 'sign with the key, do not encrypt')
    .addOption(new Option('--sync <level>', 'what is on the disk at the end').choices(['none', 'file', 'filesystem']).default('filesystem'))
    .option('-q, --quiet', 'no progress, no summary')
    .option('--json', 'for programs: one object')))))
    .addHelpText('after', HELP + exitHelp({ ...STORE_EXITS, [EXIT.WARNINGS]: true, [EXIT.ABSENT]: 'no such namespace (--create-ns)', [EXIT.CREATE]: 'the group has a snapshot that is not older' }))
    .action(told(async (specs: string[], _options: Options, command: Command) => {
      await backup(specs, command.optsWithGlobals<Options>())
    }))
}

async function backup(specs: readonly string[], options: Options): Promise<void> {
  const group = groupOf(options.group ?? `host/${hostname()}`, options)
  const owner = typed(() => checkAuthId(options.owner ?? `${userInfo().username}@pam`))
  const { time } = options
  const rest: Pick<BackupOptions, 'owner' | 'time' | 'notes' | 'waitMs' | 'changeDetection'> = {
    owner, changeDetection: options.changeDetection, ...waiting(options), ...(time === undefined ? {} : { time: typed(() => parseTime(time)) }), ...(options.notes ? { notes: options.notes } : {}),
  }
  const sources = sourcesOf(specs, options)
  const key = await keyFor(options)
  const report = await interruptible('no snapshot was made', signal => withStore(options, 'store backup', async store => {
    if (options.createNs) await makeNamespaces(store, namespaceOf(options))
    return await showingProgress(store, group, sources, { ...rest, ...key, signal }, options.quiet === true || options.json === true)
  }))
  for (const warning of report.warnings) complain(visible(warning))
  if (report.warnings.length > 0) process.exitCode = EXIT.WARNINGS
  if (options.json) print(jsonOf(report))
  else if (!options.quiet) print(textOf(report))
}

async function keyFor(options: Options): Promise<{ readonly key?: CryptKey; readonly sign?: boolean }> {
  const hasPath = keyPathOf(options) !== undefined
  if (!hasPath && (options.encrypt === true || options.sign)) throw new UsageError(`${options.sign ? '--sign' : '--encrypt'} needs a key: --keyfile or $LOCKTABLE_KEYFILE`)
  if (options.encrypt === true && options.sign) throw new UsageError('either --encrypt or --sign, not both: what is encrypted is signed too')
  const key = options.encrypt === false && !options.sign ? undefined : await openKey(options)
  return key === undefined ? {} : { key, ...(options.sign ? { sign: true } : {}) }
}

async function showingProgress(store: Datastore, group: GroupName, sources: readonly Source[], options: BackupOptions, isQuiet: boolean): Promise<BackupReport> {
  const line = new ProgressLine(isQuiet)
  const walk = new AbortController()
  if (line.isShown) void measure(sources, walk.signal).then(bytes => line.expect(bytes), () => undefined)
  try {
    return await backUp(store, group, sources, { ...options, onProgress: line.show })
  } finally {
    walk.abort()
    line.stop()
  }
}

function textOf({ snapshot, files, remarks, ...counts }: BackupReport): string {
  const archives = files.filter(({ filename }) => !isCatalogue(filename))
  return [
    formatSnapshot(snapshot),
    printTable([], archives.map(({ filename, size: bytes, cryptMode }) => [`  ${filename}`, size(bytes), cryptMode === 'none' ? '' : cryptMode])),
    ...remarks.map(remark => `all of it was read: ${visible(remark)}`),
    countsText(counts),
  ].join('\n')
}

function countsText({ bytesRead, skippedBytes, bytesStored, chunks, reusedChunks, seconds }: Omit<BackupReport, 'snapshot' | 'files' | 'remarks' | 'warnings'>): string {
  const read = bytesRead - skippedBytes
  const rate = skippedBytes === 0 ? ` (${size(read / Math.max(seconds, 0.001))}/s)` : ''
  const parts = [
    `read ${size(read)} in ${duration(seconds * 1000)}${rate}`,
    ...(skippedBytes === 0 ? [] : [`not ${size(skippedBytes)} that have not changed`]),
    `${chunks} ${chunks === 1 ? 'chunk' : 'chunks'}`,
    ...(reusedChunks === 0 ? [] : [`of which ${reusedChunks} were there`]),
  ]
  return `${parts.join(', ')}; stored ${size(bytesStored)}`
}

function jsonOf({ snapshot, files, ...rest }: BackupReport): string {
  const listed = files.map(({ filename, size: bytes, cryptMode, csum }) => ({ filename, size: bytes, cryptMode, csum: digestToHex(csum) }))
  return json({ namespace: formatNamespace(snapshot.namespace), snapshot: formatSnapshot(snapshot), files: listed, ...rest })
}
