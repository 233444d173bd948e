/**
 * locktable: a shared-memory table of robust reader/writer locks for the processes of one machine.
 */
export { LockAbortedError, LockError, type LockErrorCode, type LockErrorDetails, LockTimeoutError } from './errors.js'
export type { AbandonedNotice, LockGuard, LockMode, TableGuard } from './lock/guard.js'
export type { LockHandle } from './lock/handle.js'
export type { LockOptions, LockSyncOptions, TryLockOptions } from './lock/lock-options.js'
export type { HolderReport, ParticipantReport, ParticipantState, SlotReport, TableReport, WaiterReport } from './lock/inspect.js'
export type { LockSet, NamedLock } from './lock/lock-set.js'
export type { LockName } from './lock/hash.js'
export type { LockSpace } from './lock/space.js'
export type { Finding } from './lock/audit.js'
export type { CheckOptions, TableObserver } from './lock/observer.js'
export { LockTable, type OpenOptions, type SpaceOption } from './lock/table.js'
export type { WebLock, WebLockCallback, WebLockInfo, WebLockOptions, WebLockSnapshot } from './lock/web-locks.js'
export { LockFiles, type LockFilesOptions } from './lock/flock.js'
export type { LockFileGuard } from './lock/flock-guard.js'
export type { LockFileOptions, LockFileSyncOptions, TryLockFileOptions } from './lock/flock-request.js'
