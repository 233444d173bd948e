/**
 * A store as another program sees it: every file that backups leave is taken apart by a reader of its own, which knows Proxmox Backup Server's
 * formats and nothing of src/datastore (but for the door to the zstd library).
 */
import { createDecipheriv, createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { backUp, type BackupOptions, CryptKey, type SnapshotName, type Source } from '../../src/datastore/index.js'
import { decompress } from '../../src/datastore/zstd.js'
import { makeStore, modeOf, newGroup, OWNER, temporaryDirectory, type TestStore } from './store-support.js'

const MIB = 2 ** 20
const MAGIC = { raw: '42ab3807be8370a1', zstd: '31b958426fb6a37f', encrypted: '7b6785be222d4cf0', both: 'e6591bbf0bbfd80b', fixed: '2f7f41ed91fd0fcd', dynamic: '1c914ea519bab3cd' }
const ZERO_CHUNK = 'bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8'
const FINGERPRINT_INPUT = '6ed0ef77471fff4d55c7a8fe4a9db62161407f134c725ddf30992d25ec45ed26'

const sha256 = (...parts: readonly Uint8Array[]): string => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex')
const idKeyOf = (key: Uint8Array): Buffer => pbkdf2Sync(key, '_id_key', 10, 32, 'sha256')

function openBlob(raw: Buffer, key: Uint8Array | undefined): { readonly plain: Buffer; readonly isEncrypted: boolean } {
  const magic = raw.toString('hex', 0, 8)
  const isEncrypted = magic === MAGIC.encrypted || magic === MAGIC.both
  expect([MAGIC.raw, MAGIC.zstd, MAGIC.encrypted, MAGIC.both]).toContain(magic)
  const payload = raw.subarray(isEncrypted ? 44 : 12)
  expect(raw.readUInt32LE(8)).toBe(crc32(payload))
  const clear = isEncrypted ? decrypted(raw, payload, key!) : payload
  const plain = magic === MAGIC.zstd || magic === MAGIC.both ? decompress(clear, { where: 'blob', base: 0, maxBytes: 16 * MIB }) : clear
  if (plain !== clear) expect(clear.length).toBeLessThanOrEqual(plain.length)
  return { plain: Buffer.from(plain), isEncrypted }
}

function decrypted(raw: Buffer, payload: Buffer, key: Uint8Array): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, raw.subarray(12, 28)).setAuthTag(raw.subarray(28, 44))
  return Buffer.concat([decipher.update(payload), decipher.final()])
}

interface Index { readonly csum: string; readonly ends: readonly number[]; readonly digests: readonly Buffer[] }

function readIndex(raw: Buffer): Index {
  const isFixed = raw.toString('hex', 0, 8) === MAGIC.fixed
  if (!isFixed) expect(raw.toString('hex', 0, 8)).toBe(MAGIC.dynamic)
  expect(raw.subarray(8, 24).equals(Buffer.alloc(16))).toBe(false) // the uuid
  expect(Math.abs(Number(raw.readBigInt64LE(24)) - Date.now() / 1000)).toBeLessThan(3600)
  expect(raw.subarray(isFixed ? 80 : 64, 4096).every(byte => byte === 0)).toBe(true)
  const entries = raw.subarray(4096)
  const width = isFixed ? 32 : 40
  expect(entries.length % width).toBe(0)
  const count = entries.length / width
  const digests = Array.from({ length: count }, (_, i) => entries.subarray(width * (i + 1) - 32, width * (i + 1)))
  const csum = sha256(entries)
  expect(raw.toString('hex', 32, 64)).toBe(csum)
  if (!isFixed) return { csum, digests, ends: Array.from({ length: count }, (_, i) => Number(entries.readBigUInt64LE(40 * i))) }
  const [size, chunkBytes] = [Number(raw.readBigUInt64LE(64)), Number(raw.readBigUInt64LE(72))]
  expect(chunkBytes).toBe(4 * MIB)
  expect(count).toBe(Math.ceil(size / chunkBytes))
  return { csum, digests, ends: Array.from({ length: count }, (_, i) => Math.min(size, (i + 1) * chunkBytes)) }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** No white space, keys in the order of their bytes. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (!isObject(value)) return JSON.stringify(value)
  return `{${Object.keys(value).sort().map(name => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`
}

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder)
  return isObject(value) ? Object.fromEntries(Object.keys(value).sort().map(name => [name, inOrder(value[name])])) : value
}

interface ManifestText {
  readonly 'backup-type': string
  readonly 'backup-id': string
  readonly 'backup-time': number
  readonly files: readonly { readonly filename: string; readonly 'crypt-mode': string; readonly size: number; readonly csum: string }[]
  readonly signature: string | null
  readonly unprotected: Readonly<Record<string, unknown>>
}

let store: TestStore
const folder = temporaryDirectory()
const at = (name: string): string => join(folder, name)
const content = { 'disk.img': Buffer.concat([randomBytes(3 * MIB), Buffer.alloc(9 * MIB + 4096)]), 'data.bin': Buffer.concat([randomBytes(7 * MIB), Buffer.alloc(5 * MIB, 'text ')]), 'vm.conf': Buffer.from('cores: 4\n') }
const snapshotDirectory = ({ type, id, time }: SnapshotName): string => join(store.base, type, id, new Date(time * 1000).toISOString().replace('.000Z', 'Z'))

beforeAll(async () => {
  store = await makeStore()
  for (const [name, bytes] of Object.entries(content)) writeFileSync(at(name), bytes)
  truncateSync(at('disk.img'), content['disk.img'].length)
})

const sources = async (): Promise<readonly Source[]> => {
  const { createReadStream } = await import('node:fs')
  return [{ kind: 'image', name: 'disk.img', path: at('disk.img') }, { kind: 'stream', name: 'data.bin', stream: createReadStream(at('data.bin')) }, { kind: 'blob', name: 'vm.conf', path: at('vm.conf') }]
}

describe.each<[string, Partial<BackupOptions>, boolean]>([
  ['plain', {}, false], ['encrypted', { key: CryptKey.generate() }, true], ['signed', { key: CryptKey.generate(), sign: true }, false],
])('a snapshot, %s', (_, options, isEncrypted) => {
  const key = options.key?.exportKey()
  const idKey = key === undefined ? undefined : idKeyOf(key)
  let directory = ''
  let manifest: ManifestText
  beforeAll(async () => {
    const { snapshot } = await backUp(store.datastore, newGroup(), await sources(), { owner: OWNER, notes: 'über', ...options })
    directory = snapshotDirectory(snapshot)
    const { plain, isEncrypted: isSecret } = openBlob(readFileSync(join(directory, 'index.json.blob')), undefined)
    expect(isSecret).toBe(false)
    manifest = JSON.parse(plain.toString()) as ManifestText
    expect(plain.toString().trimEnd()).toBe(JSON.stringify(inOrder(manifest), undefined, 2))
    expect([manifest['backup-type'], manifest['backup-id'], manifest['backup-time']]).toEqual([snapshot.type, snapshot.id, snapshot.time])
  })

  it('has the files that its manifest lists, and no others', () => {
    expect(manifest.files.map(({ filename }) => filename).sort()).toEqual(['data.bin.didx', 'disk.img.catalog.blob', 'disk.img.fidx', 'vm.conf.blob'])
    expect(readdirSync(directory).sort()).toEqual(['data.bin.didx', 'disk.img.catalog.blob', 'disk.img.fidx', 'index.json.blob', 'vm.conf.blob'])
    expect(new Set(manifest.files.map(file => file['crypt-mode']))).toEqual(new Set([isEncrypted ? 'encrypt' : key === undefined ? 'none' : 'sign-only']))
    expect(readFileSync(join(directory, '../owner'), 'utf8')).toBe(`${OWNER}\n`)
  })

  it('is signed, if there is a key, over all but what may change', () => {
    const { signature, unprotected, ...signed } = manifest
    expect(unprotected).toMatchObject({ notes: 'über', chunk_upload_stats: { count: expect.any(Number) as number, size: expect.any(Number) as number, compressed_size: expect.any(Number) as number, duplicates: expect.any(Number) as number } })
    expect(signature ?? null).toBe(idKey === undefined ? null : createHmac('sha256', idKey).update(canonical(signed)).digest('hex'))
    const fingerprint = idKey === undefined ? undefined : sha256(Buffer.from(FINGERPRINT_INPUT, 'hex'), idKey).match(/../g)?.join(':')
    expect(unprotected['key-fingerprint']).toBe(fingerprint)
  })

  it.each(['disk.img.fidx', 'data.bin.didx'] as const)('%s: each chunk lies under its digest, and all together are the source', name => {
    const file = manifest.files.find(({ filename }) => filename === name)!
    const { csum, ends, digests } = readIndex(readFileSync(join(directory, name)))
    expect(file).toMatchObject({ csum, size: ends.at(-1) })
    const parts = digests.map(digest => {
      const hex = digest.toString('hex')
      const path = join(store.base, '.chunks', hex.slice(0, 4), hex)
      expect(modeOf(path)).toBe('644')
      const chunk = openBlob(readFileSync(path), key)
      expect(chunk.isEncrypted).toBe(isEncrypted)
      expect(isEncrypted ? sha256(chunk.plain, idKey!) : sha256(chunk.plain)).toBe(hex)
      return chunk.plain
    })
    expect(parts.map(part => part.length)).toEqual(ends.map((end, i) => end - (ends[i - 1] ?? 0)))
    expect(Buffer.concat(parts).equals(content[name === 'disk.img.fidx' ? 'disk.img' : 'data.bin'])).toBe(true)
    if (name === 'disk.img.fidx' && !isEncrypted) expect(digests[1]?.toString('hex')).toBe(ZERO_CHUNK)
  })

  it('the catalogue: of the index, as encrypted as that; one entry, and what is new is not trusted', () => {
    const raw = readFileSync(join(directory, 'disk.img.catalog.blob'))
    expect(manifest.files.find(({ filename }) => filename === 'disk.img.catalog.blob')).toMatchObject({ size: raw.length, csum: sha256(raw) })
    const { plain, isEncrypted: isSecret } = openBlob(raw, key)
    expect(isSecret).toBe(isEncrypted)
    expect([plain.toString('hex', 0, 8), plain.readUInt32LE(8), plain.readUInt32LE(12), plain.length]).toEqual(['7d2209d06a592549', 1, 1, 64 + 22])
    expect(plain.toString('hex', 16, 48)).toBe(readIndex(readFileSync(join(directory, 'disk.img.fidx'))).csum)
    expect([Number(plain.readBigUInt64LE(48)), plain.readUIntLE(64, 6), plain.readBigUInt64LE(56)]).toEqual([content['disk.img'].length, content['disk.img'].length, 0n])
    const { size, mtimeNs, ctimeNs, ino } = statSync(at('disk.img'), { bigint: true })
    const identity = Buffer.alloc(16)
    identity.writeBigInt64LE(ctimeNs)
    identity.writeBigUInt64LE(ino, 8)
    expect([sha256(identity, Buffer.from(`image ${size} ${mtimeNs}`)).slice(0, 32), '0'.repeat(32)]).toContain(plain.toString('hex', 70))
  })

  it('a blob: size and digest are those of the file as it is stored', () => {
    const raw = readFileSync(join(directory, 'vm.conf.blob'))
    expect(manifest.files.find(({ filename }) => filename === 'vm.conf.blob')).toMatchObject({ size: raw.length, csum: sha256(raw) })
    expect(openBlob(raw, key)).toEqual({ plain: content['vm.conf'], isEncrypted })
  })
})

it('the directories are those of a store', () => {
  expect([modeOf(store.base), modeOf(join(store.base, '.chunks')), modeOf(join(store.base, '.lock'))]).toEqual(['755', '750', '644'])
  expect(statSync(join(store.base, '.lock')).size).toBe(0)
  const names = readdirSync(join(store.base, '.chunks'))
  expect(names.length).toBe(65_536)
  expect(names.every(name => /^[0-9a-f]{4}$/.test(name))).toBe(true)
  expect(new Set(names.filter((_, i) => i % 997 === 0).map(name => modeOf(join(store.base, '.chunks', name))))).toEqual(new Set(['750']))
})
