/** limits.ts: what no backup program on this machine can be faster than, for the share that is reached. Bytes a second. */
import { spawnSync } from 'node:child_process'
import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'

export interface Limit {
  readonly name: string
  /** Undefined: the program that measures it is missing. */
  readonly bytesPerSecond: number | undefined
}

/** SHA-256 by OpenSSL, a process on every core. */
function hashing(seconds: number): number | undefined {
  const { status, stdout } = spawnSync('openssl', ['speed', '-mr', '-multi', String(cpus().length), '-seconds', String(seconds), '-bytes', '1048576', '-evp', 'sha256'], { encoding: 'utf8' })
  const figure = /^\+F:\d+:sha256:([\d.]+)/mi.exec(stdout)?.[1]
  return status === 0 && figure !== undefined ? Number(figure) : undefined
}

/** zstd -1 on all cores, of a file that is in memory. */
function compressing(file: string): number | undefined {
  const began = performance.now()
  const { status } = spawnSync('zstd', ['-q', '-1', '-T0', '-c', file], { stdio: ['ignore', 'ignore', 'ignore'] })
  return status === 0 ? statSync(file).size / (performance.now() - began) * 1000 : undefined
}

/** One file, written in blocks of a MiB and then forced to the disk. */
function writing(directory: string, mib: number): number {
  const path = join(directory, 'limit')
  const block = Buffer.alloc(2 ** 20, 'locktable')
  spawnSync('sync')
  const began = performance.now()
  const fd = openSync(path, 'wx')
  for (let written = 0; written < mib; written++) writeSync(fd, block)
  fsyncSync(fd)
  closeSync(fd)
  const seconds = (performance.now() - began) / 1000
  rmSync(path)
  return mib * 2 ** 20 / seconds
}

export function measureLimits(directory: string, image: string, isSmall: boolean): readonly Limit[] {
  return [
    { name: 'SHA-256 of OpenSSL, all cores', bytesPerSecond: hashing(isSmall ? 1 : 3) },
    { name: 'zstd -1, all cores, of an image', bytesPerSecond: compressing(image) },
    { name: 'writing to the disk', bytesPerSecond: writing(directory, isSmall ? 8 : 512) },
  ]
}
