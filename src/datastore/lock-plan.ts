/**
 * lock-plan.ts: which operation takes which locks, and what comes of it for every two operations. Data; locking.ts carries it out.
 *
 * SPACES, in rank order: nothing takes a lower one while it holds a higher one.
 *   operation   who is doing what since when: a name of its own for everything that runs, gone with its process. Never waited for
 *   datastore   garbage collection against garbage collection; making a store
 *   group       its list of snapshots, its owner, its notes
 *   snapshot    its files: X to write or remove them, S so that they stay
 *   manifest    the read-change-replace of one manifest
 *   chunk       the moments "it exists, so I touch it" (S) and "it is old, so I unlink it" (X), by the digest's first two bytes
 */

export const LOCK_SPACES = ['operation', 'datastore', 'group', 'snapshot', 'manifest', 'chunk'] as const
export type LockSpaceName = (typeof LOCK_SPACES)[number]

/** What a lock of a plan is of. `previous`: the snapshot that a backup builds on. */
export type LockRole = 'store' | 'group' | 'previous' | 'snapshot' | 'manifest'

export interface PlannedLock {
  readonly space: LockSpaceName
  readonly mode: 'exclusive' | 'shared'
  /** Milliseconds; 0 fails at once. */
  readonly waitMs: number
}

export interface OperationPlan {
  /** It inserts chunks that no index refers to yet: garbage collection spares what is younger than its start. */
  readonly isWriter: boolean
  readonly locks: Partial<Readonly<Record<LockRole, PlannedLock>>>
}

const AT_ONCE = 0
const MANIFEST_WAIT_MS = 5000
const exclusive = (space: LockSpaceName, waitMs = AT_ONCE): PlannedLock => ({ space, mode: 'exclusive', waitMs })
const shared = (space: LockSpaceName): PlannedLock => ({ space, mode: 'shared', waitMs: AT_ONCE })
const manifest = exclusive('manifest', MANIFEST_WAIT_MS)

/** Chunk locks are held for moments; this bounds the wait for a process that was stopped in one. */
export const CHUNK_WAIT_MS = 30_000

export const OPERATIONS = {
  create: { isWriter: false, locks: { store: exclusive('datastore') } },
  backup: { isWriter: true, locks: { group: exclusive('group'), previous: shared('snapshot'), snapshot: exclusive('snapshot'), manifest } },
  read: { isWriter: false, locks: { snapshot: shared('snapshot') } },
  verify: { isWriter: false, locks: { snapshot: shared('snapshot'), manifest } },
  update: { isWriter: false, locks: { manifest } },
  protect: { isWriter: false, locks: { snapshot: exclusive('snapshot') } },
  forget: { isWriter: false, locks: { snapshot: exclusive('snapshot'), manifest } },
  prune: { isWriter: false, locks: { snapshot: exclusive('snapshot'), manifest } },
  'forget-group': { isWriter: false, locks: { group: exclusive('group'), snapshot: exclusive('snapshot'), manifest } },
  'change-group': { isWriter: false, locks: { group: exclusive('group') } },
  gc: { isWriter: false, locks: { store: exclusive('datastore') } },
  list: { isWriter: false, locks: {} },
} as const satisfies Readonly<Record<string, OperationPlan>>

export type OperationName = keyof typeof OPERATIONS
export const OPERATION_NAMES = Object.keys(OPERATIONS) as readonly OperationName[]

/** The operations of the matrix: those of PBS's own table, some of them steps of the ones above. */
export const MATRIX_ROWS = ['read index', 'create index', 'gc mark', 'gc sweep', 'update manifest', 'forget', 'prune', 'create backup', 'verify', 'reader'] as const
export type MatrixRow = (typeof MATRIX_ROWS)[number]

/** What the coming operation meets. `both`: neither notices the other; `busy`: it is refused at once; `waits`: it goes on afterwards. */
export type MatrixOutcome = 'both' | 'busy' | 'waits'
/** What keeps the two apart, or makes it safe that nothing does. */
export type MatrixMechanism =
  | 'rename' // a file appears whole: who reads it early does not see it
  | 'removal' // who finds that it has vanished goes on without it
  | 'writers' // the oldest writer's start bounds what is swept
  | 'chunk' // the instants of touch and unlink exclude each other
  | 'datastore' | 'group' | 'snapshot' | 'manifest'
  | 'nothing' // they share nothing

export type MatrixCell = readonly [outcome: MatrixOutcome, mechanism: MatrixMechanism]

const READS: MatrixCell = ['both', 'nothing']

/**
 * What comes (the inner key) while the other (the outer key) runs. All are about one snapshot and its group; what a backup creates is the
 * group's next snapshot, based on that one.
 */
export const MATRIX: Readonly<Record<MatrixRow, Readonly<Record<MatrixRow, MatrixCell>>>> = {
  'read index': {
    'read index': READS, 'create index': ['both', 'rename'], 'gc mark': READS, 'gc sweep': READS, 'update manifest': ['both', 'rename'],
    forget: ['both', 'removal'], prune: ['both', 'removal'], 'create backup': ['both', 'rename'], verify: READS, reader: READS,
  },
  'create index': {
    'read index': ['both', 'rename'], 'create index': ['busy', 'group'], 'gc mark': ['both', 'writers'], 'gc sweep': ['both', 'writers'],
    'update manifest': ['both', 'nothing'], forget: ['busy', 'snapshot'], prune: ['busy', 'snapshot'], 'create backup': ['busy', 'group'], verify: READS, reader: READS,
  },
  'gc mark': {
    'read index': READS, 'create index': ['both', 'writers'], 'gc mark': ['busy', 'datastore'], 'gc sweep': ['busy', 'datastore'],
    'update manifest': ['both', 'nothing'], forget: ['both', 'removal'], prune: ['both', 'removal'], 'create backup': ['both', 'writers'], verify: READS, reader: READS,
  },
  'gc sweep': {
    'read index': READS, 'create index': ['both', 'chunk'], 'gc mark': ['busy', 'datastore'], 'gc sweep': ['busy', 'datastore'],
    'update manifest': ['both', 'nothing'], forget: ['both', 'nothing'], prune: ['both', 'nothing'], 'create backup': ['both', 'chunk'], verify: READS, reader: READS,
  },
  'update manifest': {
    'read index': ['both', 'rename'], 'create index': ['both', 'nothing'], 'gc mark': ['both', 'nothing'], 'gc sweep': ['both', 'nothing'],
    'update manifest': ['waits', 'manifest'], forget: ['waits', 'manifest'], prune: ['waits', 'manifest'], 'create backup': ['both', 'rename'],
    verify: ['waits', 'manifest'], reader: ['both', 'rename'],
  },
  forget: {
    'read index': ['both', 'removal'], 'create index': ['busy', 'snapshot'], 'gc mark': ['both', 'removal'], 'gc sweep': ['both', 'nothing'],
    'update manifest': ['waits', 'manifest'], forget: ['busy', 'snapshot'], prune: ['busy', 'snapshot'], 'create backup': ['busy', 'snapshot'],
    verify: ['busy', 'snapshot'], reader: ['busy', 'snapshot'],
  },
  prune: {
    'read index': ['both', 'removal'], 'create index': ['busy', 'snapshot'], 'gc mark': ['both', 'removal'], 'gc sweep': ['both', 'nothing'],
    'update manifest': ['waits', 'manifest'], forget: ['busy', 'snapshot'], prune: ['busy', 'snapshot'], 'create backup': ['busy', 'snapshot'],
    verify: ['busy', 'snapshot'], reader: ['busy', 'snapshot'],
  },
  'create backup': {
    'read index': ['both', 'rename'], 'create index': ['busy', 'group'], 'gc mark': ['both', 'writers'], 'gc sweep': ['both', 'writers'],
    'update manifest': ['both', 'nothing'], forget: ['busy', 'snapshot'], prune: ['busy', 'snapshot'], 'create backup': ['busy', 'group'], verify: READS, reader: READS,
  },
  verify: {
    'read index': READS, 'create index': READS, 'gc mark': READS, 'gc sweep': READS, 'update manifest': ['waits', 'manifest'],
    forget: ['busy', 'snapshot'], prune: ['busy', 'snapshot'], 'create backup': READS, verify: ['waits', 'manifest'], reader: READS,
  },
  reader: {
    'read index': READS, 'create index': READS, 'gc mark': READS, 'gc sweep': READS, 'update manifest': ['both', 'rename'],
    forget: ['busy', 'snapshot'], prune: ['busy', 'snapshot'], 'create backup': READS, verify: READS, reader: READS,
  },
}

/** What a row of the matrix takes of the plans above, at its critical point. */
export const ROW_PLANS: Readonly<Record<MatrixRow, { readonly operation: OperationName; readonly roles: readonly LockRole[] }>> = {
  'read index': { operation: 'list', roles: [] },
  'create index': { operation: 'backup', roles: ['group', 'previous', 'snapshot'] },
  'gc mark': { operation: 'gc', roles: ['store'] },
  'gc sweep': { operation: 'gc', roles: ['store'] },
  'update manifest': { operation: 'update', roles: ['manifest'] },
  forget: { operation: 'forget', roles: ['snapshot', 'manifest'] },
  prune: { operation: 'prune', roles: ['snapshot', 'manifest'] },
  'create backup': { operation: 'backup', roles: ['group', 'previous', 'snapshot'] },
  verify: { operation: 'verify', roles: ['snapshot', 'manifest'] }, // when it writes the state
  reader: { operation: 'read', roles: ['snapshot'] },
}
