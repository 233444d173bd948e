/**
 * sources.ts: what is to be backed up, as it is typed: ARCHIVE:PATH. The archive's extension says how.
 */
import { accessSync, constants, createReadStream, fstatSync, readFileSync, readlinkSync, type Stats, statSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { type ArchiveKind, archiveKind, MAX_BLOB_BYTES, type Source } from '../../datastore/index.js'
import { EXIT, Refusal, UsageError } from '../exit-codes.js'
import { size } from '../output.js'

/** Small files that are stored as they are. */
const BLOB_EXTENSIONS: readonly string[] = ['conf', 'log', 'fw', 'txt']

const SUFFIX: Readonly<Record<ArchiveKind, string>> = { fixed: 'fidx', dynamic: 'didx', blob: 'blob' }
const KIND_OF: Readonly<Record<Source['kind'], ArchiveKind>> = { image: 'fixed', stream: 'dynamic', directory: 'dynamic', blob: 'blob' }

export interface Typed {
  readonly name: string
  readonly path: string
}

export function parseSpec(text: string): Typed {
  const [, name, path] = /^([^:]*):(.+)$/s.exec(text) ?? []
  if (name === undefined || path === undefined) throw new UsageError(`${JSON.stringify(text)} must be ARCHIVE:PATH, like etc.tar:/etc or data.bin:-`)
  if (archiveKind(`${name}.blob`) === undefined || archiveKind(name) !== undefined) {
    throw new UsageError(`${JSON.stringify(name)} cannot be an archive's name: letters, digits, "_", "-" and ".", and without the store's own .fidx, .didx or .blob`)
  }
  return { name, path }
}

export interface DirectoryOptions {
  readonly exclude: readonly string[]
  readonly oneFileSystem?: boolean
}

export function sourcesOf(specs: readonly string[], { exclude, oneFileSystem = false }: DirectoryOptions): readonly Source[] {
  const all = specs.map(parseSpec)
  const twice = all.find(({ name }, i) => all.findIndex(other => other.name === name) < i)
  if (twice !== undefined) throw new UsageError(`there are two archives ${twice.name}`)
  if (all.filter(({ path }) => path === '-').length > 1) throw new UsageError('standard input can be read once')
  const planned = all.map(each => ({ ...each, kind: kindOf(each) }))
  const isForNone = !planned.some(({ kind }) => kind === 'directory')
  if (isForNone && (exclude.length > 0 || oneFileSystem)) throw new UsageError(`${oneFileSystem ? '--one-file-system' : '--exclude'} is of directories, and none is backed up`)
  return planned.map(({ name, path, kind }): Source => {
    if (kind === 'stream') return { kind, name, stream: path === '-' ? standardInput() : fileStream(path) }
    return kind === 'directory' ? { kind, name, path, oneFileSystem, ...(exclude.length > 0 ? { exclude } : {}) } : { kind, name, path }
  })
}

function fileStream(path: string, fd?: number): Readable {
  const stream = createReadStream(path, { highWaterMark: 1024 * 1024, ...(fd === undefined ? {} : { fd }) })
  stream.on('error', () => undefined) // it may fail before its turn has come; whoever reads it then is told
  return stream
}

/** Node takes a block device for nothing at all. */
const standardInput = (): Readable => (fstatSync(0).isBlockDevice() ? fileStream('', 0) : process.stdin)

/** Node puts /dev/null in its place, open for both directions; `< /dev/null`, which is an empty stream, is open for reading only. */
function isInputClosed(): boolean {
  if (readlinkSync('/proc/self/fd/0') !== '/dev/null') return false
  const [, flags = '0'] = /^flags:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/fdinfo/0', 'latin1')) ?? []
  return (Number.parseInt(flags, 8) & constants.O_RDWR) !== 0
}

function kindOf({ name, path }: Typed): Source['kind'] {
  const extension = /\.([^.]+)$/.exec(name)?.[1] ?? ''
  if (path === '-') {
    if (isInputClosed()) throw new UsageError(`${name} is to come from standard input, which is closed`)
    if (fstatSync(0).isDirectory()) throw new UsageError(`${name} is to come from standard input, which is a directory`)
    if (process.stdin.isTTY) throw new UsageError(`${name} is to come from standard input, which is a terminal`)
    return 'stream'
  }
  const stat = look(path)
  if (stat.isDirectory()) {
    if (extension !== 'tar') throw new UsageError(`${path} is a directory: call its archive ${name.replace(/\..*$/, '')}.tar`)
    return 'directory'
  }
  if (extension === 'img' && (stat.isFile() || stat.isBlockDevice())) return 'image'
  if (!BLOB_EXTENSIONS.includes(extension)) return 'stream'
  if (!stat.isFile() || stat.size > MAX_BLOB_BYTES) throw new UsageError(`${name} is for small files; ${path} ${stat.isFile() ? `has ${size(stat.size)}` : 'is no file'}: call it ${name}.bin`)
  return 'blob'
}

function look(path: string): Stats {
  try {
    const stat = statSync(path)
    accessSync(path, constants.R_OK)
    return stat
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EACCES') throw new Refusal(`not allowed to read ${path}`, EXIT.PERMISSION)
    throw code === 'ENOENT' ? new Refusal(`there is no ${path}`, EXIT.MISSING) : new Refusal(message, EXIT.IO)
  }
}

/** What the archive of a source is called in the snapshot. */
export const filenameOf = ({ name, kind }: Pick<Source, 'name' | 'kind'>): string => `${name}.${SUFFIX[KIND_OF[kind]]}`
