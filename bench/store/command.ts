/** command.ts: whole processes, timed. */
import { spawn, spawnSync } from 'node:child_process'

export interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly directory?: string | undefined
  readonly environment?: Readonly<Record<string, string>> | undefined
}

export function versionOf(program: string, ...args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(program, [...args], { encoding: 'utf8' })
  return status === 0 ? stdout.trim().split('\n')[0] : undefined
}

/** Beyond this a program hangs. */
const PATIENCE_MS = 180_000

/** @throws if it fails, with what it said */
export async function run({ program, args, directory, environment }: Command): Promise<void> {
  const child = spawn(program, [...args], { cwd: directory, env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'], timeout: PATIENCE_MS, killSignal: 'SIGKILL' })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000)
  })
  const status = await new Promise<number | string>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      resolve(code ?? signal ?? 'unknown')
    })
  })
  if (status !== 0) throw new Error(`${[program, ...args].join(' ')} ended with ${status}: ${said}`)
}

/** Seconds until the last of some processes that begin together, or one after the other, has ended. What others wrote is on the disk before. */
export async function timeAll(commands: readonly Command[], inTurn: boolean): Promise<number> {
  spawnSync('sync')
  const began = process.hrtime.bigint()
  if (inTurn) for (const command of commands) await run(command)
  else await Promise.all(commands.map(run))
  return Number(process.hrtime.bigint() - began) / 1e9
}
