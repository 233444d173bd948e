/**
 * describe.ts: what is known about a snapshot and a group, for `list` and `show`. Takes no lock.
 */
import {
  type Datastore, DatastoreError, digestToHex, formatGroup, formatNamespace, formatSnapshot, type GroupName, keyFingerprint, type Manifest, type RunningOperation,
  snapshotPath, type SnapshotName,
} from '../../datastore/index.js'

/** In the words of the JSON output. */
export interface SnapshotReport {
  readonly snapshot: string
  readonly time: string
  /** `running`: a backup that is being made; `unfinished`: what a dead one left, which the next backup of the group removes. */
  readonly state: 'finished' | 'running' | 'unfinished' | 'damaged'
  /** Of what was backed up. */
  readonly bytes: number
  readonly files: readonly { readonly filename: string; readonly size: number; readonly cryptMode: string; readonly csum: string }[]
  readonly protected: boolean
  readonly encrypted: boolean
  readonly signed: boolean
  readonly keyFingerprint: string | undefined
  readonly verification: 'ok' | 'failed' | undefined
  readonly notes: string
  readonly uploaded: unknown
  /** Of a damaged one: how. */
  readonly error?: string
  /** Of a running one. */
  readonly running?: { readonly pid: number; readonly since: string }
}

export interface GroupReport {
  readonly namespace: string
  readonly group: string
  readonly owner: string | undefined
  readonly notes: string
  /** Oldest first. */
  readonly snapshots: readonly SnapshotReport[]
}

/** Undefined: it was removed meanwhile. */
export async function describeSnapshot(store: Datastore, snapshot: SnapshotName, running: readonly RunningOperation[]): Promise<SnapshotReport | undefined> {
  const [name, time = ''] = [formatSnapshot(snapshot), formatSnapshot(snapshot).split('/').at(-1)]
  const found = await store.snapshotFiles(snapshot)
  if (found === undefined) return undefined
  const nothing = { snapshot: name, time, bytes: 0, files: [], protected: found.protected, encrypted: false, signed: false, keyFingerprint: undefined, verification: undefined, notes: '', uploaded: undefined }
  if (!found.finished) {
    const operation = running.find(each => each.operation === 'backup' && each.target === snapshotPath(snapshot))
    if (operation === undefined) return { ...nothing, state: 'unfinished' }
    return { ...nothing, state: 'running', running: { pid: operation.pid, since: operation.since.toISOString() } }
  }
  try {
    return { ...nothing, state: 'finished', ...describeManifest(await store.loadManifest(snapshot)) }
  } catch (error) {
    if (!(error instanceof DatastoreError)) throw error
    if (error.code === 'SNAPSHOT_MISSING') return undefined
    return { ...nothing, state: 'damaged', error: error.message }
  }
}

function describeManifest(manifest: Manifest): Pick<SnapshotReport, 'bytes' | 'files' | 'encrypted' | 'signed' | 'keyFingerprint' | 'verification' | 'notes' | 'uploaded'> {
  const { notes, verify_state: state, chunk_upload_stats: uploaded } = manifest.unprotected
  const verdict = typeof state === 'object' && state !== null && 'state' in state ? state.state : undefined
  return {
    bytes: manifest.files.reduce((sum, file) => sum + file.size, 0),
    files: manifest.files.map(({ filename, size, cryptMode, csum }) => ({ filename, size, cryptMode, csum: digestToHex(csum) })),
    encrypted: manifest.files.some(({ cryptMode }) => cryptMode === 'encrypt'),
    signed: manifest.signature !== null,
    keyFingerprint: keyFingerprint(manifest),
    verification: verdict === 'ok' || verdict === 'failed' ? verdict : undefined,
    notes: typeof notes === 'string' ? notes : '',
    uploaded,
  }
}

export async function describeGroup(store: Datastore, group: GroupName, running: readonly RunningOperation[]): Promise<GroupReport> {
  const snapshots: SnapshotReport[] = []
  for (const snapshot of await store.snapshots(group)) {
    const report = await describeSnapshot(store, snapshot, running)
    if (report !== undefined) snapshots.push(report)
  }
  const notes = await store.groupNotes(group).catch((error: unknown) => {
    if (error instanceof DatastoreError && error.code === 'GROUP_MISSING') return ''
    throw error
  })
  return { namespace: formatNamespace(group.namespace), group: formatGroup(group), owner: await store.owner(group), notes, snapshots }
}
