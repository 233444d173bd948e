/**
 * locktable/datastore: a datastore on disk like Proxmox Backup Server's.
 */
export { type BlobKind, type BlobOptions, blobKind, checkBlob, decodeBlob, type DecodeBlobOptions, encodeBlob } from './blob.js'
export { type Json, JsonFloat, type JsonObject } from './canonical-json.js'
export { isCatalogue } from './catalogue.js'
export type { ChunkIndex, IndexEntry, IndexIdentity } from './chunk-index.js'
export { CryptKey, type Encrypted } from './crypt.js'
export { type Digest, digestFromHex, digestToHex, sha256 } from './digest.js'
export { decodeDynamicIndex, type DynamicIndex, type DynamicIndexParts, encodeDynamicIndex } from './dynamic-index.js'
export { DatastoreError, type DatastoreErrorCode, type DatastoreErrorDetails, type EngineErrorCode, FormatError, type FormatErrorCode, type FormatErrorDetails, type KeyErrorCode, type StoreErrorCode } from './errors.js'
export { decodeFixedIndex, encodeFixedIndex, fixedChunkCount, type FixedIndex, type FixedIndexParts } from './fixed-index.js'
export { FIXED_CHUNK_BYTES, MANIFEST_NAME, MAX_BLOB_BYTES } from './format.js'
export { decodeKeyFile, encodeKeyFile, type EncodeKeyFileOptions, type Kdf, KEY_FILE_MODE, type KeyFile, MIN_PASSPHRASE_BYTES, openKeyFile } from './key-file.js'
export {
  checkFingerprint, checkSignature, createManifest, type CryptMode, decodeManifest, encodeManifest, keyFingerprint, type Manifest,
  type ManifestFile, type ManifestParts, signManifest, withUnprotected,
} from './manifest.js'
export {
  archiveKind, type ArchiveKind, type BackupType, checkAuthId, checkNewComponent, compareGroups, compareSnapshots, formatGroup, formatNamespace, formatSnapshot, formatTime,
  type GroupName, parseGroup, parseNamespace, parseSnapshot, parseTime, type SnapshotName, snapshotPath,
} from './names.js'
export { type BackupSession, type FixedIndexOptions, type InsertChunkOptions } from './backup.js'
export type { PreviousBackup } from './backup-start.js'
export { type ChunkFile, type ChunkFileKind, type ChunkStore, type InsertResult, type SyncLevel } from './chunk-store.js'
export { type ChangeOwnerOptions, Datastore, type DatastoreOptions, type OpenReaderOptions, type StartBackupOptions, type VerifyState, type WaitOptions } from './datastore.js'
export { type FileEntry, FileError, type FileInfo, type Files } from './files.js'
export type { SnapshotFiles } from './hierarchy.js'
export type { DynamicIndexWriter, ExpectedIndex, FixedIndexWriter, WrittenArchive } from './index-writer.js'
export { MATRIX, type MatrixCell, type MatrixMechanism, type MatrixOutcome, type MatrixRow, type OperationName, type OperationPlan, OPERATIONS } from './lock-plan.js'
export { BusyError, type LockHolder, type RunningOperation, STORE_SPACES, type StoreLocks } from './locking.js'
export type { ManifestGuard } from './manifest-store.js'
export type { ArchiveReader, ReaderSession } from './reader.js'
export type { UploadStatistics } from './session-chunks.js'
export { backUp } from './high-level.js'
export { restore } from './restore.js'
export type { BackupOptions, BackupReport, Progress, RestoreReport, Source, Target, TransferOptions } from './transfer.js'
