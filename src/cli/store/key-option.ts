/**
 * key-option.ts: the key that a command works with.
 */
import { readFileSync, statSync } from 'node:fs'
import type { Command } from 'commander'
import { type CryptKey, decodeKeyFile, openKeyFile } from '../../datastore/index.js'
import { complain, visible } from '../output.js'
import { type PassphraseSource, passphraseFrom } from './passphrase.js'

export interface KeyOptions {
  readonly keyfile?: string
  readonly passphraseFile?: string
}

const VARIABLE = 'LOCKTABLE_KEYFILE'

export function addKeyOptions(command: Command): Command {
  return command
    .option('--keyfile <file>', `the key (default: $${VARIABLE}); see: store key create`)
    .option('--passphrase-file <file>', "its first line opens the key (default:\n$LOCKTABLE_PASSPHRASE, else asked for)")
}

export const keyPathOf = ({ keyfile }: KeyOptions): string | undefined => (keyfile ?? process.env[VARIABLE]) || undefined

export const oldPassphrase = ({ passphraseFile }: KeyOptions): PassphraseSource => ({ file: passphraseFile, variable: 'LOCKTABLE_PASSPHRASE', option: '--passphrase-file' })

/** Undefined: no key was named. @throws {DatastoreError} `KEY_PASSPHRASE`, `KEY_WRONG`, `FORMAT_…` */
export async function openKey(options: KeyOptions): Promise<CryptKey | undefined> {
  const path = keyPathOf(options)
  return path === undefined ? undefined : await readKey(path, options)
}

export async function readKey(path: string, options: KeyOptions): Promise<CryptKey> {
  const file = decodeKeyFile(readFileSync(path), path)
  if (file.kdf === null) {
    if ((statSync(path).mode & 0o077) !== 0) complain(`others can read ${visible(path)}, and with it all backups: chmod 600`)
    return await openKeyFile(file, { where: path })
  }
  const hint = file.hint === undefined ? '' : ` (hint: ${visible(file.hint)})`
  const passphrase = await passphraseFrom(oldPassphrase(options), `Passphrase of ${visible(path)}${hint}: `)
  return await openKeyFile(file, { passphrase, where: path })
}
