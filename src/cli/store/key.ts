/**
 * key.ts: `locktable store key`: files with keys, which never come into the store.
 */
import { closeSync, fsyncSync, openSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { CryptKey, decodeKeyFile, encodeKeyFile, KEY_FILE_MODE, type KeyFile, MIN_PASSPHRASE_BYTES } from '../../datastore/index.js'
import { EXIT, Refusal, exitHelp } from '../exit-codes.js'
import { json, paint, print, table as printTable, visible } from '../output.js'
import { told } from './errors.js'
import { STORE_EXITS } from './exits.js'
import { type KeyOptions, readKey } from './key-option.js'
import { newPassphrase } from './passphrase.js'

type KdfName = 'scrypt' | 'pbkdf2' | 'none'

interface NewKeyOptions extends KeyOptions {
  readonly kdf?: KdfName
  readonly hint?: string
  readonly newPassphraseFile?: string
  readonly json?: boolean
}

const HELP = `
Without the key an encrypted backup is lost: keep a copy of the file elsewhere.
The file is that of proxmox-backup-client. It is made with mode 600.

The passphrase comes from --passphrase-file, else $LOCKTABLE_PASSPHRASE, else
the terminal; a new one for change-passphrase from --new-passphrase-file,
$LOCKTABLE_NEW_PASSPHRASE, or the terminal.

Examples:
  locktable store key create ~/.config/backup.key
  locktable store key create --kdf none /root/backup.key
  locktable store key show ~/.config/backup.key
  locktable store key change-passphrase ~/.config/backup.key
`

const EXITS = HELP + exitHelp({ ...STORE_EXITS, [EXIT.DATA]: 'the file is no key file', [EXIT.MISSING]: 'there is no such file', [EXIT.CREATE]: 'the file exists' })

const kdfOption = (): Option => new Option('--kdf <kind>', 'how the passphrase protects the key; none: not at all').choices(['scrypt', 'pbkdf2', 'none']).default('scrypt')

export function addKey(store: Command): void {
  const key = store.command('key').summary('make and look at key files').description('Makes and shows files with encryption keys.').addHelpText('after', EXITS)
  key.command('create')
    .description('Makes a key file.')
    .argument('<file>', 'where; it must not exist')
    .addOption(kdfOption())
    .option('--hint <text>', 'what reminds you of the passphrase; not secret')
    .option('--passphrase-file <file>', 'its first line is the passphrase')
    .option('--json', 'for programs')
    .addHelpText('after', EXITS)
    .action(told(async (path: string, options: NewKeyOptions) => create(path, options)))
  key.command('show')
    .description('Shows what is in a key file, but for the key.')
    .argument('<file>')
    .option('--json', 'for programs')
    .addHelpText('after', EXITS)
    .action(told(async (path: string, { json: forPrograms = false }: NewKeyOptions) => show(path, forPrograms)))
  key.command('change-passphrase')
    .description('Replaces a key file by one of the same key with another passphrase.')
    .argument('<file>')
    .addOption(kdfOption())
    .option('--hint <text>', 'a new hint (default: as it was)')
    .option('--passphrase-file <file>', 'its first line is the old passphrase')
    .option('--new-passphrase-file <file>', 'its first line is the new passphrase')
    .option('--json', 'for programs')
    .addHelpText('after', EXITS)
    .action(told(async (path: string, options: NewKeyOptions) => changePassphrase(path, options)))
}

async function encode(key: CryptKey, options: NewKeyOptions, file: Pick<KeyFile, 'hint' | 'created'> | undefined, passphraseFile: string | undefined, variable: string, option: string): Promise<Buffer> {
  const { kdf = 'scrypt', hint = file?.hint } = options
  const rest = { ...(hint === undefined ? {} : { hint }), ...(file === undefined ? {} : { created: file.created }) }
  if (kdf === 'none') return await encodeKeyFile(key, rest)
  const passphrase = await newPassphrase({ file: passphraseFile, variable, option }, MIN_PASSPHRASE_BYTES)
  return await encodeKeyFile(key, { ...rest, kdf, passphrase })
}

/** A file of its own, whole on the disk before it gets its name. */
function write(path: string, content: Buffer): void {
  const fd = openSync(path, 'wx', KEY_FILE_MODE)
  try {
    writeFileSync(fd, content)
    fsyncSync(fd)
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  } finally {
    closeSync(fd)
  }
}

async function create(path: string, options: NewKeyOptions): Promise<void> {
  const key = CryptKey.generate()
  const content = await encode(key, options, undefined, options.passphraseFile, 'LOCKTABLE_PASSPHRASE', '--passphrase-file')
  try {
    write(path, content)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw new Refusal(`${path} exists: a key that is overwritten is lost, and all its backups with it`, EXIT.CREATE)
    throw error
  }
  tell(`made ${visible(path)}`, path, key, options)
}

function tell(what: string, path: string, { fingerprint }: CryptKey, options: NewKeyOptions): void {
  print(options.json ? json({ file: path, fingerprint, kdf: options.kdf }) : `${what}, key ${fingerprint}`)
}

function readFile(path: string): KeyFile {
  return decodeKeyFile(readFileSync(path), path)
}

async function show(path: string, forPrograms: boolean): Promise<void> {
  const { kdf, created, modified, fingerprint, hint } = readFile(path)
  const [madeAt, changedAt] = [created, modified].map(time => new Date(time * 1000).toISOString().replace('.000Z', 'Z'))
  const kind = kdf?.kind ?? 'none'
  if (forPrograms) {
    print(json({ file: path, fingerprint, kdf: kind, created: madeAt, modified: changedAt, hint }))
    return
  }
  const rows = [['file', visible(path)], ['key', visible(fingerprint ?? '-')], ['protected', kdf === null ? paint.yellow('no: whoever reads the file has the key') : `by a passphrase (${kind})`],
    ['created', madeAt], ['changed', changedAt], ['hint', visible(hint ?? '-')]]
  print(printTable([], rows.map(([what = '', text = '']) => [paint.dim(what), text])))
}

async function changePassphrase(path: string, options: NewKeyOptions): Promise<void> {
  const file = readFile(path)
  const key = await readKey(path, options)
  const content = await encode(key, options, file, options.newPassphraseFile, 'LOCKTABLE_NEW_PASSPHRASE', '--new-passphrase-file')
  const real = realpathSync(path) // a link stays a link
  const temporary = `${real}.new-${process.pid}`
  write(temporary, content)
  renameSync(temporary, real)
  tell(`changed ${visible(path)}`, path, key, options)
}
