/**
 * passphrase.ts: where a passphrase comes from: a file, the environment, or the terminal, without echo.
 */
import { openSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { ReadStream, WriteStream } from 'node:tty'
import { UsageError } from '../exit-codes.js'
import { dieBy } from '../supervise.js'

export interface PassphraseSource {
  /** An option's value: the first line of this file. */
  readonly file: string | undefined
  /** Of the environment. */
  readonly variable: string
  /** The option, to be named in errors. */
  readonly option: string
}

/** Undefined: neither file nor variable say. */
export function givenPassphrase({ file, variable, option }: PassphraseSource): string | undefined {
  if (file === undefined) return process.env[variable] || undefined
  const [line = ''] = readFileSync(file, 'utf8').split(/\r?\n/)
  if (line === '') throw new UsageError(`the first line of ${file} (${option}) is empty: it must be the passphrase`)
  return line
}

export async function passphraseFrom(source: PassphraseSource, question: string): Promise<string> {
  return givenPassphrase(source) ?? await ask(question, source)
}

/** A new one: on a terminal it is asked for twice. */
export async function newPassphrase(source: PassphraseSource, minBytes: number): Promise<string> {
  const given = givenPassphrase(source)
  const passphrase = given ?? await ask('New passphrase: ', source)
  if (Buffer.byteLength(passphrase) < minBytes) throw new UsageError(`the passphrase must have at least ${minBytes} bytes`)
  if (given === undefined && await ask('Once more: ', source) !== passphrase) throw new UsageError('the two passphrases are not the same')
  return passphrase
}

/** On the terminal itself: standard input may be what is backed up. */
async function ask(question: string, { variable, option }: PassphraseSource): Promise<string> {
  let input: ReadStream
  let output: WriteStream
  try {
    input = new ReadStream(openSync('/dev/tty', 'r'))
    output = new WriteStream(openSync('/dev/tty', 'w'))
  } catch {
    throw new UsageError(`there is no terminal to ask for the passphrase: give it by ${option} or $${variable}`)
  }
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const reader = createInterface({ input, output: silent, terminal: true, historySize: 0 })
  output.write(question)
  const answer = await new Promise<string | undefined>(resolve => {
    reader.once('line', resolve)
    reader.once('close', () => resolve(undefined)) // ^D
    reader.once('SIGINT', () => {
      reader.close() // the terminal is as it was
      output.write('\n')
      dieBy('SIGINT')
    })
  })
  reader.close()
  output.write('\n')
  input.destroy()
  output.destroy()
  if (answer === undefined) throw new UsageError('no passphrase was given')
  return answer
}
