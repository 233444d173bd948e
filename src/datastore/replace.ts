/**
 * replace.ts: files that are there whole or not at all, and directories that go away.
 *
 * A file is written under a temporary name in its directory, `<name>.tmp_XXXXXX`, and renamed. Whoever dies in between leaves the temporary
 * file, which nothing reads: it goes with the directory, or when somebody finds that the last holder of the lock died.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type CreateOptions, FileError, type Files } from './files.js'

const TEMPORARY = /\.tmp_[A-Za-z0-9]{6}$/

export const isTemporary = (name: string): boolean => TEMPORARY.test(name)

export function temporaryName(path: string): string {
  return `${path}.tmp_${randomBytes(3).toString('hex')}`
}

async function createTemporary(files: Files, path: string, bytes: Uint8Array, options: CreateOptions): Promise<string> {
  for (;;) {
    const temporary = temporaryName(path)
    try {
      await files.create(temporary, bytes, options)
      return temporary
    } catch (error) {
      if (error instanceof FileError && error.errno === 'EEXIST') continue // somebody else's
      await removeQuietly(files, temporary)
      throw error
    }
  }
}

/** For clean-up behind an error, which is the one to report: what cannot be removed is no worse than what a crash leaves. */
const removeQuietly = (files: Files, path: string): Promise<boolean> => files.unlink(path).catch(() => false)

/** Calls `use` with a new file of these bytes. If it fails, the file is removed; otherwise `use` has renamed or removed it. */
export async function withTemporary<T>(files: Files, path: string, bytes: Uint8Array, options: CreateOptions, use: (temporary: string) => Promise<T>): Promise<T> {
  const temporary = await createTemporary(files, path, bytes, options)
  try {
    return await use(temporary)
  } catch (error) {
    await removeQuietly(files, temporary)
    throw error
  }
}

/** The file has these bytes afterwards; who reads it meanwhile reads all of the old or all of the new ones. */
export async function replaceFile(files: Files, path: string, bytes: Uint8Array, options: CreateOptions): Promise<void> {
  await withTemporary(files, path, bytes, options, temporary => files.rename(temporary, path))
}

/** Removes temporary files that dead processes left beside `path`. Only for whoever holds the lock that `path` is written under. */
export async function removeTemporaries(files: Files, directory: string, name: string): Promise<void> {
  for (const entry of await files.list(directory) ?? []) {
    if (entry.name.startsWith(`${name}.tmp_`) && isTemporary(entry.name)) await files.unlink(join(directory, entry.name))
  }
}

/** Removes the directory with all that is in it, the file `first` before everything else. What vanishes meanwhile is no error. */
export async function removeTree(files: Files, directory: string, first?: string): Promise<void> {
  if (first !== undefined) await files.unlink(join(directory, first))
  for (const { name, kind } of await files.list(directory) ?? []) {
    const path = join(directory, name)
    if (kind === 'directory') await removeTree(files, path)
    else await files.unlink(path)
  }
  await files.removeDirectory(directory)
}
