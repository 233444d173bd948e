/**
 * names.ts: what namespaces, groups, snapshots and archives are called, and where they are below the store's root. Pure.
 *
 *   namespace a/b    ns/a/ns/b
 *   group            <namespace>/vm/100
 *   snapshot         <group>/2026-11-21T08:00:00Z
 *
 * A name that a caller gives is checked and refused with a RangeError. For names that were found on disk there are the `try…` functions: what
 * does not match there is somebody else's and is passed over.
 */
import { checkInteger, checkOneOf, checkString } from '../check.js'
import { digestToHex } from './digest.js'

export type BackupType = 'vm' | 'ct' | 'host'

/** In the order in which groups are listed. */
export const BACKUP_TYPES: readonly BackupType[] = ['ct', 'host', 'vm']

export interface GroupName {
  /** From the root downwards; empty for the root namespace. */
  readonly namespace: readonly string[]
  readonly type: BackupType
  readonly id: string
}

export interface SnapshotName extends GroupName {
  /** Whole seconds since 1970, at least 1. */
  readonly time: number
}

export type ArchiveKind = 'fixed' | 'dynamic' | 'blob'

const SAFE_ID = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/
const SAFE_ID_WORDS = 'letters, digits, "_", "-" and ".", not beginning with "-" or "."'
const ARCHIVE = /^[A-Za-z0-9_][A-Za-z0-9._-]*\.(fidx|didx|blob)$/
const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/
const AUTH_ID = /^[^\s:/\p{Cc}]+@[A-Za-z0-9_][A-Za-z0-9._-]*(![A-Za-z0-9_][A-Za-z0-9._-]*)?$/u
const ONLY_DIGITS = /^[0-9]+$/

/** Longest name in a directory, in bytes; our names are ASCII. */
const NAME_MAX = 255
/** Namespaces below the root. */
export const MAX_NAMESPACE_DEPTH = 7
const MAX_NAMESPACE_LENGTH = 256
/** Longest component of a namespace that is made; longer ones that exist are read. */
const MAX_COMPONENT_LENGTH = 32
/** The last second of the year 9999. */
const MAX_TIME = 253_402_300_799
const MAX_U64 = 2n ** 64n - 1n

const quoted = (text: string) => JSON.stringify(text)

function checkSafeId(value: unknown, what: string, min = 1, max = NAME_MAX): string {
  const text = checkString(value, what)
  if (!SAFE_ID.test(text)) throw new RangeError(`${what} must be made of ${SAFE_ID_WORDS}, not ${quoted(text)}`)
  if (text.length < min || text.length > max) throw new RangeError(`${what} must have ${min} to ${max} characters, not ${text.length}`)
  return text
}

export function isBackupType(text: string): text is BackupType {
  return (BACKUP_TYPES as readonly string[]).includes(text)
}

export function isBackupId(text: string): boolean {
  return SAFE_ID.test(text) && text.length <= NAME_MAX
}

export const checkBackupType = (value: unknown, what = 'the backup type'): BackupType => checkOneOf(value, BACKUP_TYPES, what)
export const checkBackupId = (value: unknown, what = 'the backup id'): string => checkSafeId(value, what)
export const checkDatastoreName = (value: unknown, what = 'the name of the datastore'): string => checkSafeId(value, what, 3, 32)
/** For a namespace that is to be made: 1 to 32 characters. */
export const checkNewComponent = (value: unknown, what = 'the name of the namespace'): string => checkSafeId(value, what, 1, MAX_COMPONENT_LENGTH)

/** `user@realm`, or `user@realm!token`. */
export function checkAuthId(value: unknown, what = 'the owner'): string {
  const text = checkString(value, what)
  if (!AUTH_ID.test(text)) throw new RangeError(`${what} must be user@realm or user@realm!token, not ${quoted(text)}`)
  return text
}

export function checkNamespace(components: readonly string[], what = 'the namespace'): readonly string[] {
  for (const component of components) checkSafeId(component, `a part of ${what}`)
  if (components.length > MAX_NAMESPACE_DEPTH) throw new RangeError(`${what} must have at most ${MAX_NAMESPACE_DEPTH} parts, not ${components.length}`)
  const { length } = components.join('/')
  if (length > MAX_NAMESPACE_LENGTH) throw new RangeError(`${what} must have at most ${MAX_NAMESPACE_LENGTH} characters, not ${length}`)
  return components
}

/** "a/b" becomes its parts; "" is the root. */
export function parseNamespace(text: string, what = 'the namespace'): readonly string[] {
  return checkString(text, what) === '' ? [] : checkNamespace(text.split('/'), what)
}

export function formatNamespace(namespace: readonly string[]): string {
  return namespace.join('/')
}

/** Below the store's root; "" for the root namespace. */
export function namespacePath(namespace: readonly string[]): string {
  return namespace.map(component => `ns/${component}`).join('/')
}

/** "vm/100" in the given namespace. */
export function parseGroup(text: string, namespace: readonly string[] = []): GroupName {
  const [type, id, ...more] = checkString(text, 'the group').split('/')
  if (id === undefined || more.length > 0) throw new RangeError(`the group must be type/id, not ${quoted(text)}`)
  return { namespace: checkNamespace(namespace), type: checkBackupType(type), id: checkBackupId(id) }
}

/** Without its namespace: "vm/100". */
export function formatGroup(group: GroupName): string {
  return `${group.type}/${group.id}`
}

/** Below the store's root. */
export function groupPath(group: GroupName): string {
  return [...group.namespace.map(component => `ns/${component}`), group.type, group.id].join('/')
}

export const checkTime = (value: unknown, what = 'the backup time'): number => checkInteger(value, what, 1, MAX_TIME)

/** The name of a snapshot's directory: 2026-11-21T08:00:00Z. */
export function formatTime(time: number): string {
  return new Date(checkTime(time) * 1000).toISOString().replace('.000Z', 'Z')
}

/** Whole seconds since 1970; undefined for anything that is not the name of a snapshot's directory. */
export function tryParseTime(text: string): number | undefined {
  if (!TIME.test(text)) return undefined
  const time = Date.parse(text) / 1000
  // Date.parse takes the 30th of February for a day in March.
  return time >= 1 && formatTime(time) === text ? time : undefined
}

export function parseTime(text: string, what = 'the backup time'): number {
  const time = tryParseTime(checkString(text, what))
  if (time === undefined) throw new RangeError(`${what} must be like 2026-11-21T08:00:00Z and not before 1970-01-01T00:00:01Z, not ${quoted(text)}`)
  return time
}

/** "vm/100/2026-11-21T08:00:00Z" in the given namespace. */
export function parseSnapshot(text: string, namespace: readonly string[] = []): SnapshotName {
  const [type, id, time, ...more] = checkString(text, 'the snapshot').split('/')
  if (id === undefined || time === undefined || more.length > 0) throw new RangeError(`the snapshot must be type/id/time, not ${quoted(text)}`)
  return { ...parseGroup(`${type ?? ''}/${id}`, namespace), time: parseTime(time) }
}

/** Without its namespace: "vm/100/2026-11-21T08:00:00Z". */
export function formatSnapshot(snapshot: SnapshotName): string {
  return `${formatGroup(snapshot)}/${formatTime(snapshot.time)}`
}

/** Below the store's root. */
export function snapshotPath(snapshot: SnapshotName): string {
  return `${groupPath(snapshot)}/${formatTime(snapshot.time)}`
}

/** What an archive is by its extension; undefined for what is no archive. */
export function archiveKind(name: string): ArchiveKind | undefined {
  const extension = ARCHIVE.exec(name)?.[1]
  return extension === 'fidx' ? 'fixed' : extension === 'didx' ? 'dynamic' : extension === 'blob' ? 'blob' : undefined
}

/** A name as it stands in the snapshot's directory and in its manifest, with `.fidx`, `.didx` or `.blob`. */
export function checkArchiveName(value: unknown, what = 'the archive name'): string {
  const text = checkSafeId(value, what)
  if (archiveKind(text) === undefined) throw new RangeError(`${what} must end in .fidx, .didx or .blob, not ${quoted(text)}`)
  return text
}

/** A chunk's file below the store's root. */
export function chunkPath(digest: Uint8Array): string {
  const hex = digestToHex(digest)
  return `.chunks/${hex.slice(0, 4)}/${hex}`
}

const compareText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

function asNumber(id: string): bigint | undefined {
  if (!ONLY_DIGITS.test(id)) return undefined
  const value = BigInt(id)
  return value <= MAX_U64 ? value : undefined
}

/** Numbers by value and before all other ids; "7" and "07" by their text. */
export function compareIds(a: string, b: string): number {
  const [first, second] = [asNumber(a), asNumber(b)]
  if (first === undefined || second === undefined) return first === second ? compareText(a, b) : first === undefined ? 1 : -1
  return first < second ? -1 : first > second ? 1 : compareText(a, b)
}

/** By namespace, part by part, then type (ct, host, vm), then id. */
export function compareGroups(a: GroupName, b: GroupName): number {
  for (const [index, component] of a.namespace.entries()) {
    const order = index < b.namespace.length ? compareText(component, b.namespace[index]!) : 1
    if (order !== 0) return order
  }
  if (a.namespace.length < b.namespace.length) return -1
  return BACKUP_TYPES.indexOf(a.type) - BACKUP_TYPES.indexOf(b.type) || compareIds(a.id, b.id)
}

/** By group, then oldest first. */
export function compareSnapshots(a: SnapshotName, b: SnapshotName): number {
  return compareGroups(a, b) || a.time - b.time
}
