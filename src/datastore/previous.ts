/**
 * previous.ts: what the group's previous snapshot has of an archive, for a backup that does not want to read what has not changed.
 *
 * A chunk that is reused unread stands in the new snapshot under the new signature. So with a key the previous manifest must be signed with the same
 * one, and index and catalogue must be those that it lists: whoever can write the store only cannot slip anything in.
 */
import type { BackupSession } from './backup.js'
import { decodeBlob } from './blob.js'
import { catalogueName, decodeCatalogue } from './catalogue.js'
import type { ChunkIndex } from './chunk-index.js'
import type { CryptKey } from './crypt.js'
import { sha256 } from './digest.js'
import { decodeDynamicIndex } from './dynamic-index.js'
import { DatastoreError } from './errors.js'
import { decodeFixedIndex, type FixedIndex } from './fixed-index.js'
import { checkSignature, type CryptMode, type Manifest, type ManifestFile } from './manifest.js'
import { archiveKind, formatSnapshot } from './names.js'
import type { PreviousStream } from './pipeline/reuse.js'

export interface PreviousArchive extends PreviousStream {
  readonly index: ChunkIndex | FixedIndex
}

export interface PreviousOptions {
  readonly cryptMode: CryptMode
  /** Encrypts or signs. */
  readonly key: CryptKey | undefined
  /** Why an archive that was there is read as a whole all the same. */
  readonly onUnusable: (reason: string) => void
}

/** Undefined: there was none, or it cannot be used. */
export async function previousArchive(session: BackupSession, archive: string, { cryptMode, key, onUnusable }: PreviousOptions): Promise<PreviousArchive | undefined> {
  const { previous } = session
  const listed = previous?.manifest.files.find(({ filename }) => filename === archive)
  if (previous === undefined || listed === undefined) return undefined
  const where = formatSnapshot(previous.snapshot)
  try {
    const refusal = refusalOf(previous.manifest, listed, cryptMode, key)
    if (refusal === undefined) return await load(session, previous.manifest, listed, cryptMode === 'encrypt' ? key : undefined)
    onUnusable(`${archive} of ${where} ${refusal}`)
  } catch (error) {
    if (!(error instanceof DatastoreError)) throw error
    onUnusable(`${archive} of ${where}: ${error.message}`)
  }
  return undefined
}

function refusalOf(manifest: Manifest, listed: ManifestFile, cryptMode: CryptMode, key: CryptKey | undefined): string | undefined {
  if (listed.cryptMode !== cryptMode) return `is ${WORDS[listed.cryptMode]}, which this one is not`
  if (key === undefined) return undefined
  if (manifest.signature === null) return 'has no signature'
  checkSignature(manifest, key, 'its manifest')
  return undefined
}

const WORDS: Readonly<Record<CryptMode, string>> = { none: 'neither encrypted nor signed', encrypt: 'encrypted', 'sign-only': 'only signed' }

async function load(session: BackupSession, { files }: Manifest, listed: ManifestFile, key: CryptKey | undefined): Promise<PreviousArchive> {
  const archive = listed.filename
  const name = catalogueName(archive)
  const blob = files.find(({ filename }) => filename === name)
  const [rawIndex, rawBlob] = [await session.readPrevious(archive), blob && await session.readPrevious(blob.filename)]
  if (rawIndex === undefined || blob === undefined || rawBlob === undefined) throw new DatastoreError('ARCHIVE_MISSING', 'it has no catalogue', { path: archive })
  const index = archiveKind(archive) === 'fixed' ? decodeFixedIndex(rawIndex, archive) : decodeDynamicIndex(rawIndex, archive)
  if (blob.size !== rawBlob.length || !blob.csum.equals(sha256(rawBlob))) throw damaged(blob.filename)
  if (listed.size !== index.size || !listed.csum.equals(index.csum)) throw damaged(archive)
  const catalogue = decodeCatalogue(decodeBlob(rawBlob, { key, where: blob.filename }), blob.filename)
  if (!catalogue.csum.equals(index.csum) || catalogue.size !== index.size) throw new DatastoreError('ARCHIVE_DAMAGED', `${blob.filename} is of another archive`, { path: blob.filename })
  return { catalogue, index }
}

const damaged = (path: string): DatastoreError => new DatastoreError('ARCHIVE_DAMAGED', `${path} is not what the manifest says`, { path })
