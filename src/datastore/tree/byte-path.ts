/**
 * byte-path.ts: names of files as they are on the disk: bytes, which need not be UTF-8. Everything below tree/ has them as strings with one
 * character for each byte (latin1), which can be compared, split and put into maps; only here they become something else.
 */

const isAscii = (text: string): boolean => !/[^\0-\x7f]/.test(text)  

/** From a path as a user types it. */
export const byteString = (text: string): string => (isAscii(text) ? text : Buffer.from(text).toString('latin1'))

/** For calls on files. */
export const onDisk = (bytes: string): string | Buffer => (isAscii(bytes) ? bytes : Buffer.from(bytes, 'latin1'))

/** For people; what is no UTF-8 is shown as such. */
export const readable = (bytes: string): string => (isAscii(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString())
