import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as names from '../../src/datastore/names.js'

const vm100 = { namespace: [], type: 'vm', id: '100' } as const
const deep = { namespace: ['a', 'b'], type: 'host', id: 'web-1.example' } as const
// date -u -d 2026-11-21T08:00:00Z +%s
const TIME = 1795248000

const safeId = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,30}$/)
const groups = fc.record({ namespace: fc.array(safeId, { maxLength: 7 }), type: fc.constantFrom(...names.BACKUP_TYPES), id: fc.oneof(safeId, fc.nat().map(String)) })
const snapshots = fc.record({ group: groups, time: fc.integer({ min: 1, max: 253_402_300_799 }) }).map(({ group, time }) => ({ ...group, time }))

describe('paths', () => {
  it('are where other programs look', () => {
    expect(names.namespacePath([])).toBe('')
    expect(names.namespacePath(['a', 'b'])).toBe('ns/a/ns/b')
    expect(names.groupPath(vm100)).toBe('vm/100')
    expect(names.groupPath(deep)).toBe('ns/a/ns/b/host/web-1.example')
    expect(names.snapshotPath({ ...vm100, time: TIME })).toBe('vm/100/2026-11-21T08:00:00Z')
    expect(names.snapshotPath({ ...deep, time: 1 })).toBe('ns/a/ns/b/host/web-1.example/1970-01-01T00:00:01Z')
    expect(names.chunkPath(Buffer.alloc(32, 0xab))).toBe(`.chunks/abab/${'ab'.repeat(32)}`)
  })

  it('and texts are read as they were written', () => {
    fc.assert(fc.property(snapshots, (snapshot) => {
      const namespace = names.parseNamespace(names.formatNamespace(snapshot.namespace))
      expect(names.parseSnapshot(names.formatSnapshot(snapshot), namespace)).toEqual(snapshot)
      const { time, ...group } = snapshot
      expect(names.parseGroup(names.formatGroup(group), namespace)).toEqual(group)
      expect(names.tryParseTime(names.formatTime(time))).toBe(time)
    }))
  })
})

describe('a wrong name is refused', () => {
  const rows: readonly (readonly [string, () => unknown])[] = [
    ['a group without id', () => names.parseGroup('vm')],
    ['a group with an empty id', () => names.parseGroup('vm/')],
    ['a group of another type', () => names.parseGroup('qemu/100')],
    ['a group with three parts', () => names.parseGroup('vm/100/1')],
    ['a group above the store', () => names.parseGroup('vm/..')],
    ['an id with a space', () => names.parseGroup('vm/a b')],
    ['an id with a newline', () => names.checkBackupId('a\n')],
    ['an id that begins with a minus', () => names.checkBackupId('-a')],
    ['an id with an umlaut', () => names.checkBackupId('ü')],
    ['an id too long for a directory', () => names.checkBackupId('a'.repeat(256))],
    ['a snapshot without time', () => names.parseSnapshot('vm/100')],
    ['a snapshot with four parts', () => names.parseSnapshot('vm/100/2026-11-21T08:00:00Z/x')],
    ['a time of 0', () => names.parseTime('1970-01-01T00:00:00Z')],
    ['a time with a fraction', () => names.parseTime('2026-11-21T08:00:00.000Z')],
    ['a time in another zone', () => names.parseTime('2026-11-21T08:00:00+00:00')],
    ['a day that is none', () => names.parseTime('2026-02-30T08:00:00Z')],
    ['an hour that is none', () => names.parseTime('2026-11-21T24:00:00Z')],
    ['a second that is none', () => names.parseTime('2026-11-21T08:00:60Z')],
    ['half a second', () => names.formatTime(1.5)],
    ['a time after the year 9999', () => names.formatTime(253_402_300_800)],
    ['a namespace of eight', () => names.parseNamespace('a/b/c/d/e/f/g/h')],
    ['a namespace with an empty part', () => names.parseNamespace('a//b')],
    ['a namespace above the root', () => names.parseNamespace('../a')],
    ['a namespace of 257 characters', () => names.parseNamespace(`${'a'.repeat(250)}/${'b'.repeat(6)}`)],
    ['a new namespace of 33', () => names.checkNewComponent('a'.repeat(33))],
    ['an archive without extension', () => names.checkArchiveName('drive.img')],
    ['an archive in another directory', () => names.checkArchiveName('../x.blob')],
    ['an archive that is only an extension', () => names.checkArchiveName('.blob')],
    ['a store of two characters', () => names.checkDatastoreName('ab')],
    ['an owner without realm', () => names.checkAuthId('root')],
    ['an owner of two lines', () => names.checkAuthId('root@pam\nx@pam')],
    ['an owner with an empty token', () => names.checkAuthId('root@pam!')],
  ]
  it.each(rows)('%s', (_title, act) => {
    expect(act).toThrow(RangeError)
  })

  it('and what is no text by another error', () => {
    expect(() => names.checkBackupId(100)).toThrow(TypeError)
    expect(() => names.parseTime(5 as never)).toThrow(TypeError)
  })

  it('but not on disk, where it is passed over', () => {
    expect(['vm', 'qemu', 'toString'].map(names.isBackupType)).toEqual([true, false, false])
    expect(['100', '..', '.x', ''].map(names.isBackupId)).toEqual([true, false, false, false])
    expect(['a.fidx', 'a.didx', 'index.json.blob', 'a.tmp_didx', 'owner', '.blob'].map(names.archiveKind)).toEqual(['fixed', 'dynamic', 'blob', undefined, undefined, undefined])
    expect(names.tryParseTime('2026-02-30T08:00:00Z')).toBeUndefined()
  })
})

describe('a right name is taken', () => {
  it.each(['root@pam', 'backup@pbs!client-1', 'a.b+c@x'])('%s', text => expect(names.checkAuthId(text)).toBe(text))
  it.each(['drive-scsi0.img.fidx', 'root.pxar.didx', 'qemu-server.conf.blob', '_.blob'])('%s', text => expect(names.checkArchiveName(text)).toBe(text))
})

describe('order', () => {
  it('is that of a listing: type, then numbers, then other ids', () => {
    const sorted = ['ct/9', 'ct/10', 'ct/a', 'host/web', 'vm/007', 'vm/7', 'vm/99', 'vm/100', 'vm/18446744073709551615', 'vm/18446744073709551616', 'vm/2b', 'vm/A', 'vm/a']
    const shuffled = sorted.map(text => names.parseGroup(text)).reverse()
    expect(shuffled.sort(names.compareGroups).map(names.formatGroup)).toEqual(sorted)
  })

  it('is total', () => {
    fc.assert(fc.property(snapshots, snapshots, snapshots, (a, b, c) => {
      expect(Math.sign(names.compareSnapshots(a, b))).toBe(0 - Math.sign(names.compareSnapshots(b, a)))
      if (names.compareSnapshots(a, b) <= 0 && names.compareSnapshots(b, c) <= 0) expect(names.compareSnapshots(a, c)).toBeLessThanOrEqual(0)
      expect(names.compareSnapshots(a, b) === 0).toBe(names.snapshotPath(a) === names.snapshotPath(b))
    }))
  })
})
