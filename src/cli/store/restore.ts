/**
 * restore.ts: `locktable store restore`.
 */
import { type Stats, existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Command } from 'commander'
import { type CryptKey, type Datastore, formatSnapshot, isCatalogue, MANIFEST_NAME, type Manifest, type ManifestFile, restore, type RestoreReport, type SnapshotName, type Target } from '../../datastore/index.js'
import { EXIT, Refusal, UsageError } from '../exit-codes.js'
import { complain, duration, json, print, size, visible } from '../output.js'
import { completeCommand, SNAPSHOT_ARGUMENT } from './command.js'
import { snapshotOf, type StoreOptions, withStore } from './common.js'
import { interruptible } from './interrupt.js'
import { addKeyOptions, type KeyOptions, openKey } from './key-option.js'
import { ProgressLine } from './progress.js'

interface Options extends StoreOptions, KeyOptions {
  readonly raw?: boolean
  readonly overwrite?: boolean
  readonly quiet?: boolean
  readonly json?: boolean
}

const HELP = `
A .tar archive is unpacked into the directory TARGET, which is new or empty;
with --raw, and to standard output, it stays a tar archive. Any other becomes
the file, or fills the device, TARGET. Files are sparse where they were.
Owners are restored by root alone, set-id bits by root and their owner.

Everything that is read is compared with its digest. Others can read the
snapshot at the same time, nobody can remove it.

Examples:
  locktable store restore host/web1/latest etc.tar /tmp/etc
  locktable store restore host/web1/latest etc.tar - | tar -xf - passwd
  locktable store restore vm/100/2026-11-21T08:00:00Z disk.img /dev/vg/vm-100
`

export function addRestore(store: Command): void {
  const command = store.command('restore')
    .summary('restore an archive')
    .description('Restores one archive of a snapshot.')
    .argument('<snapshot>', SNAPSHOT_ARGUMENT)
    .argument('<archive>', 'as it was called at the backup, like etc.tar')
    .argument('<target>', 'a directory, file, device, pipe; -: standard output')
    .option('--raw', 'do not unpack a .tar archive')
    .option('--overwrite', 'a file that exists')
    .option('-q, --quiet', 'no progress, no summary')
    .option('--json', 'for programs: one object')
  completeCommand(command, { help: HELP, exits: { [EXIT.WARNINGS]: true, [EXIT.ABSENT]: true, [EXIT.CREATE]: 'the target exists, or is not empty' }, inNamespace: true }, restoreArchive)
  addKeyOptions(command)
}

async function restoreArchive(text: string, archive: string, path: string, options: Options): Promise<void> {
  if (path === '-' && options.json) throw new UsageError('--json would be mixed with the archive on standard output')
  const [snapshot, report] = await interruptible('what was restored is not complete', signal => withStore(options, 'store restore', async store => {
    const found = await snapshotOf(store, text, options)
    const manifest = await store.loadManifest(found)
    const file = findFile(manifest, archive, found)
    const target = targetOf(file.filename, path, options)
    const key = await keyFor(manifest, file, options)
    return [found, await showingProgress(store, found, file.filename, target, key, signal, options.quiet === true || options.json === true || (path === '-' && process.stdout.isTTY))] as const
  }))
  for (const warning of report.warnings) complain(visible(warning))
  if (report.warnings.length > 0) process.exitCode = EXIT.WARNINGS
  if (options.json) print(json({ snapshot: formatSnapshot(snapshot), archive, target: path, ...report }))
  else if (!options.quiet && path !== '-') print(textOf(report))
}

/** "etc.tar" or "etc.tar.didx" */
function findFile(manifest: Manifest, archive: string, snapshot: SnapshotName): ManifestFile {
  const found = manifest.files.find(({ filename }) => filename === archive) ?? manifest.files.find(({ filename }) => filename.replace(/\.(fidx|didx|blob)$/, '') === archive)
  if (found !== undefined) return found
  const names = manifest.files.map(({ filename }) => filename).filter(name => name !== MANIFEST_NAME && !isCatalogue(name))
  throw new Refusal(`${formatSnapshot(snapshot)} has no ${visible(archive)}; it has ${names.join(', ') || 'no archives'}`, EXIT.ABSENT)
}

function targetOf(filename: string, path: string, { raw, overwrite }: Options): Target {
  if (path === '') throw new UsageError('the target must not be empty')
  if (path === '-') return { kind: 'stream', stream: process.stdout }
  const stat: Stats | undefined = existsSync(path) ? statSync(path) : undefined
  if (!existsSync(dirname(path))) throw new Refusal(`there is no directory ${visible(dirname(path))}`, EXIT.MISSING)
  if (filename.endsWith('.tar.didx') && !raw) {
    if (stat !== undefined && !stat.isDirectory()) throw new Refusal(`${visible(path)} is no directory (--raw restores the tar archive itself)`, EXIT.CREATE)
    if (stat !== undefined && readdirSync(path).length > 0) throw new Refusal(`${visible(path)} is not empty`, EXIT.CREATE)
    return { kind: 'directory', path }
  }
  if (raw && !filename.endsWith('.tar.didx')) throw new UsageError(`--raw is for .tar archives, not for ${filename}`)
  if (stat?.isDirectory()) throw new Refusal(`${visible(path)} is a directory: say ${visible(path)}/${basename(filename).replace(/\.[a-z]+$/, '')}`, EXIT.CREATE)
  if (stat?.isFile() && !overwrite) throw new Refusal(`${visible(path)} exists (--overwrite)`, EXIT.CREATE)
  return { kind: 'file', path }
}

/** It is not asked for a passphrase that nothing needs. */
async function keyFor(manifest: Manifest, { cryptMode }: ManifestFile, options: Options): Promise<CryptKey | undefined> {
  return cryptMode === 'encrypt' || (manifest.signature !== null && options.keyfile !== undefined) ? await openKey(options) : undefined
}

async function showingProgress(
  store: Datastore, snapshot: SnapshotName, filename: string, target: Target, key: CryptKey | undefined, signal: AbortSignal, isQuiet: boolean,
): Promise<RestoreReport> {
  const line = new ProgressLine(isQuiet)
  try {
    return await restore(store, snapshot, filename, target, { signal, onProgress: line.show, ...(key === undefined ? {} : { key }) })
  } finally {
    line.stop()
  }
}

function textOf({ bytes, files, seconds }: RestoreReport): string {
  return `restored ${size(bytes)}${files === undefined ? '' : ` in ${files} files`} in ${duration(seconds * 1000)} (${size(bytes / Math.max(seconds, 0.001))}/s)`
}
