/**
 * contenders.ts: the programs that are compared: each makes a repository, backs some parts of the data up as one client, restores that client's latest
 * backup. Default settings but for the encryption; see README.md for what that means for each.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Command, versionOf } from './command.js'

export interface Contender {
  readonly name: string
  readonly version: string
  /** A repository takes one backup at a time, so the clients take turns. */
  readonly hasOneWriter: boolean
  /** @param repository  a directory that does not exist yet; and one in memory that does */
  repository(directory: string, memory: string): Repository
}

export interface Repository {
  readonly init: Command
  /** @param data  the directory with the parts */
  backup(data: string, client: number, parts: readonly string[]): Command
  /** Into `target`, a new directory: as the data, a directory for each part. */
  restore(target: string, client: number, parts: readonly string[]): Command
}

const CLIENT = fileURLToPath(new URL('client.mjs', import.meta.url))
const PASSWORD = 'only for the benchmark'

function locktable(name: string, isEncrypted: boolean): Contender {
  return {
    name,
    version: `Node ${process.version}`,
    hasOneWriter: false,
    repository(directory, memory) {
      const key = isEncrypted ? randomBytes(32).toString('hex') : '-'
      const command = (verb: string, ...rest: readonly string[]): Command => ({ program: process.execPath, args: [CLIENT, verb, directory, join(memory, 'locks'), key, ...rest] })
      return {
        init: command('init'),
        backup: (data, client, parts) => command('backup', data, `host/client${client}`, ...parts),
        restore: (target, client, parts) => command('restore', target, `host/client${client}`, ...parts),
      }
    },
  }
}

function restic(version: string): Contender {
  return {
    name: 'restic',
    version,
    hasOneWriter: false,
    repository(directory) {
      const environment = { RESTIC_REPOSITORY: directory, RESTIC_PASSWORD: PASSWORD, RESTIC_CACHE_DIR: `${directory}.cache` }
      const command = (...args: readonly string[]): Command => ({ program: 'restic', args: ['--quiet', ...args], environment })
      return {
        init: command('init'),
        backup: (data, client, parts) => ({ ...command('backup', '--host', `client${client}`, ...parts), directory: data }),
        restore: (target, client) => command('restore', 'latest', '--host', `client${client}`, '--target', target),
      }
    },
  }
}

/** Several clients that wait for its lock (--lock-wait) were seen to wait for each other for ever. */
function borg(version: string): Contender {
  return {
    name: 'borg',
    version,
    hasOneWriter: true,
    repository(directory) {
      const environment = { BORG_REPO: directory, BORG_PASSPHRASE: PASSWORD, BORG_BASE_DIR: `${directory}.cache` }
      const command = (...args: readonly string[]): Command => ({ program: 'borg', args, environment })
      const archives = new Map<number, number>()
      return {
        init: command('init', '--encryption', 'repokey'),
        backup: (data, client, parts) => {
          const number = (archives.get(client) ?? 0) + 1
          archives.set(client, number)
          return { ...command('create', `::client${client}-${number}`, ...parts), directory: data }
        },
        restore: (target, client) => ({ ...command('extract', '--sparse', `::client${client}-${archives.get(client)}`), directory: target }),
      }
    },
  }
}

/** Those that are here, and why the others are not. */
export function findContenders(): { readonly contenders: readonly Contender[]; readonly skipped: readonly { readonly name: string; readonly why: string }[] } {
  const contenders = [locktable('locktable, encrypted', true), locktable('locktable, plain', false)]
  const skipped: { name: string; why: string }[] = []
  for (const [name, make, ...args] of [['restic', restic, 'version'], ['borg', borg, '--version']] as const) {
    const version = versionOf(name, ...args)
    if (version === undefined) skipped.push({ name, why: `there is no ${name}: npm run bench:setup installs it where apt-get can` })
    else contenders.push(make(version))
  }
  return { contenders, skipped }
}
