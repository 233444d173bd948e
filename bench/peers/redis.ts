/**
 * redis.ts: the lock that the Redis documentation describes: SET NX PX of a random value, and a script that deletes the key only if it still has that
 * value. Waiting is by asking again. The server is ours alone: on a Unix socket in the scratch directory, without a file of its own.
 */
import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type * as RedisClient from '@redis/client'
import { type AsyncLocks, type Peer, loadPackage, whyMissing } from './peer.js'

/** Where processes that a benchmark starts find its server. */
const SOCKET = 'LOCKTABLE_BENCH_REDIS'
const EXPIRY_MS = 10_000
const RETRY_MS = 1
const START_MS = 10_000
const RELEASE = 'if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) else return 0 end'

interface Hold {
  readonly key: string
  readonly value: string
}

let found: string | undefined

function whyNoServer(): string | undefined {
  try {
    found ??= execFileSync('redis-server', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return undefined
  } catch {
    return 'there is no redis-server on the PATH (npm run bench:setup installs Debian\'s, if it may)'
  }
}

async function serve(directory: string): Promise<AsyncDisposable> {
  const socket = join(directory, 'redis.sock')
  const args = ['--port', '0', '--unixsocket', socket, '--unixsocketperm', '700', '--save', '', '--appendonly', 'no', '--dir', directory]
  // The shell ends the server when its standard input does: also where this process is killed.
  const shell = spawn('sh', ['-c', 'redis-server "$@" & cat; kill $!; wait', 'redis', ...args], { stdio: ['pipe', 'ignore', 'ignore'] })
  const gone = new Promise<void>(resolve => shell.once('exit', () => resolve()).once('error', () => resolve()))
  const deadline = performance.now() + START_MS
  while (!existsSync(socket)) {
    if (performance.now() > deadline) throw new Error('redis-server did not start')
    await sleep(5)
  }
  process.env[SOCKET] = socket
  return {
    async [Symbol.asyncDispose]() {
      shell.stdin.end()
      await gone
    },
  }
}

export const redis: Peer = {
  name: 'Redis, SET NX PX',
  scope: 'machine',
  whyNotShared: 'its locks are exclusive',
  available: () => whyMissing('@redis/client') ?? whyNoServer(),
  serve,
  async open(directory): Promise<AsyncLocks<Hold>> {
    const { createClient } = loadPackage('@redis/client') as typeof RedisClient
    const path = process.env[SOCKET]
    if (path === undefined) throw new Error('the benchmark started no Redis server')
    const client = createClient({ socket: { path, tls: false } })
    await client.connect()
    return {
      kind: 'async',
      async lock(name) {
        const [key, value] = [`${directory}/${name}`, randomUUID()]
        while (await client.set(key, value, { condition: 'NX', expiration: { type: 'PX', value: EXPIRY_MS } }) === null) await sleep(RETRY_MS)
        return { key, value }
      },
      async unlock({ key, value }) {
        await client.eval(RELEASE, { keys: [key], arguments: [value] })
      },
      close: () => client.close(),
    }
  },
}
