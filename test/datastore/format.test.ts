import { describe, expect, it } from 'vitest'
import * as format from '../../src/datastore/format.js'

// The chained offsets, as literals: what a file of another program has must not move when a constant here does.
describe('format', () => {
  it('has the offsets of the files', () => {
    expect(format.BLOB).toEqual({ CRC: 8, PAYLOAD: 12, IV: 12, TAG: 28, CIPHERTEXT: 44 })
    expect(format.INDEX).toEqual({ UUID: 8, CTIME: 24, CSUM: 32, SIZE: 64, CHUNK_BYTES: 72 })
    expect([format.INDEX_HEADER_BYTES, format.DYNAMIC_ENTRY_BYTES, format.MAX_BLOB_BYTES, format.FIXED_CHUNK_BYTES]).toEqual([4096, 40, 134_217_728, 4_194_304])
  })

  it('has the magics, byte by byte', () => {
    expect(Object.fromEntries(Object.entries(format.MAGIC).map(([name, magic]) => [name, [...magic]]))).toEqual({
      BLOB: [0x42, 0xab, 0x38, 0x07, 0xbe, 0x83, 0x70, 0xa1],
      BLOB_ZSTD: [0x31, 0xb9, 0x58, 0x42, 0x6f, 0xb6, 0xa3, 0x7f],
      BLOB_ENCRYPTED: [0x7b, 0x67, 0x85, 0xbe, 0x22, 0x2d, 0x4c, 0xf0],
      BLOB_ENCRYPTED_ZSTD: [0xe6, 0x59, 0x1b, 0xbf, 0x0b, 0xbf, 0xd8, 0x0b],
      FIXED_INDEX: [0x2f, 0x7f, 0x41, 0xed, 0x91, 0xfd, 0x0f, 0xcd],
      DYNAMIC_INDEX: [0x1c, 0x91, 0x4e, 0xa5, 0x19, 0xba, 0xb3, 0xcd],
    })
  })
})
