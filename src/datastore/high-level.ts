/**
 * high-level.ts: whole backups and restores: the source is read, cut, hashed, compressed and encrypted on all cores (pipeline/), and goes
 * into a backup session, which holds all locks.
 */
import { checkBoolean, checkInteger, checkOneOf, checkString } from '../check.js'
import type { BackupSession } from './backup.js'
import type { Datastore } from './datastore.js'
import { createManifest, type CryptMode, type Manifest, type ManifestFile, signManifest } from './manifest.js'
import { Meter } from './meter.js'
import { checkArchiveName, type GroupName } from './names.js'
import type { WorkerPool } from './pipeline/pool.js'
import { withSharedPool } from './pipeline/shared-pool.js'
import { previousArchive } from './previous.js'
import { archiveNameOf, backUpSource, catalogueOf, sizeOf } from './source.js'
import { type BackupOptions, type BackupReport, checkTransfer, type Source, TRANSFER_KEYS } from './transfer.js'

/**
 * Makes a snapshot of some sources.
 *
 * What the metadata shows to be as in the group's previous snapshot is not read; what is read and the same is neither compressed nor stored again. What cannot be read in a directory is a warning; all
 * else that fails, or `signal`, ends the backup, of which nothing is left then but chunks for the garbage collection.
 *
 * @throws {DatastoreError} `SOURCE_…`, and as Datastore.startBackup()
 * Memory: bounded by the number of threads, whatever the size of the sources. With two: 114 MiB for an image of 20 GiB (the test allows 400), 571 MiB
 * for a directory of 700 MB in 54 000 files, whose chunks have up to 16 MiB. It stays for a second, with the threads, for the next one.
 */
export async function backUp(store: Datastore, group: GroupName, sources: readonly Source[], options: BackupOptions): Promise<BackupReport> {
  const { owner, waitMs, signal, onProgress } = checkTransfer(options, [...TRANSFER_KEYS, 'owner', 'time', 'waitMs', 'sign', 'changeDetection', 'notes'])
  checkSources(sources, options)
  signal?.throwIfAborted()
  const meter = new Meter(onProgress)
  meter.totalBytes = await totalOf(sources)
  return await withSharedPool(async pool => {
    if (sources.some(({ kind }) => kind !== 'blob')) pool.begin() // while we wait for locks and directories
    const time = options.time ?? await nextTime(store, group)
    const session = await store.startBackup({ ...group, time }, { owner, ...(waitMs === undefined ? {} : { waitMs }), ...(signal === undefined ? {} : { signal }) })
    try {
      const { files } = await fill(session, pool, sources, options, meter)
      const { snapshot } = session
      const { bytesRead, skippedBytes, bytesStored, chunks, reusedChunks, seconds, warnings, remarks } = meter
      return { snapshot, files, bytesRead, skippedBytes, bytesStored, chunks, reusedChunks, seconds, warnings, remarks }
    } catch (error) {
      await session.abort()
      throw error
    }
  })
}

async function fill(session: BackupSession, pool: WorkerPool, sources: readonly Source[], { key, sign = false, notes, changeDetection, signal }: BackupOptions, meter: Meter): Promise<Manifest> {
  const cryptMode: CryptMode = key === undefined ? 'none' : sign ? 'sign-only' : 'encrypt'
  const previousOf = async (archive: string) => (changeDetection === 'data' ? undefined : await previousArchive(session, archive, { cryptMode, key, onUnusable: meter.onRemark }))
  const files: ManifestFile[] = []
  for (const source of sources) {
    signal?.throwIfAborted()
    const written = await backUpSource(source, { session, pool, meter, signal, previousOf, key: cryptMode === 'encrypt' ? key : undefined })
    files.push(...written.map(archive => ({ ...archive, cryptMode })))
  }
  signal?.throwIfAborted()
  meter.enter('finish')
  const { type: backupType, id: backupId, time: backupTime } = session.snapshot
  const manifest = createManifest({ backupType, backupId, backupTime, files, unprotected: notes === undefined ? {} : { notes } })
  await session.finish(key === undefined ? manifest : signManifest(manifest, key))
  return manifest
}

function checkSources(sources: readonly Source[], { key, time, sign, changeDetection, notes }: BackupOptions): void {
  if (sources.length === 0) throw new RangeError('sources must have at least one element')
  const names = new Set<string>()
  for (const source of sources) {
    for (const name of [checkArchiveName(archiveNameOf(source)), catalogueOf(source)]) {
      if (name === undefined) continue
      if (names.has(name)) throw new RangeError(`sources has ${name} twice`)
      names.add(name)
    }
    if (source.kind === 'directory' && !source.name.endsWith('.tar')) throw new RangeError(`the name of a directory's archive must end with .tar, not be ${source.name}`)
  }
  if (time !== undefined) checkInteger(time, 'options.time', 1, Number.MAX_SAFE_INTEGER)
  if (changeDetection !== undefined) checkOneOf(changeDetection, ['metadata', 'data'], 'options.changeDetection')
  if (notes !== undefined) checkString(notes, 'options.notes')
  if (sign !== undefined && checkBoolean(sign, 'options.sign') && key === undefined) throw new RangeError('options.sign needs options.key')
}

async function totalOf(sources: readonly Source[]): Promise<number | undefined> {
  const sizes = await Promise.all(sources.map(sizeOf))
  return sizes.reduce((sum, size) => (sum === undefined || size === undefined ? undefined : sum + size), 0)
}

/** Snapshots of a group have a second each. */
async function nextTime(store: Datastore, group: GroupName): Promise<number> {
  const times = (await store.snapshots(group)).map(({ time }) => time)
  return Math.max(Math.floor(Date.now() / 1000), ...times.map(time => time + 1))
}
