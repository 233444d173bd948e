/**
 * device.ts: block devices, as sources and as targets.
 */
import type { Stats } from 'node:fs'
import { readFile } from 'node:fs/promises'

/** How large a block device is. Rejects as readFile() does if the kernel does not say. */
export async function blockDeviceBytes({ rdev }: Pick<Stats, 'rdev'>): Promise<number> {
  // As glibc takes the two apart. The kernel counts in sectors of 512 bytes whatever the device has.
  const [major, minor] = [(rdev >>> 8) & 0xfff, (rdev & 0xff) | ((rdev >>> 12) & ~0xff)]
  return Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, 'latin1')) * 512
}
