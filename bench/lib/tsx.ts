/** tsx.ts: how a benchmark starts another Node that can read TypeScript, wherever that one's working directory is. */
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

export const TSX_ARGS: readonly string[] = ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href]

/** What Node needs to run a script: nothing if it is JavaScript (bundled.ts). */
export const nodeArgs = (script: URL): readonly string[] => (script.pathname.endsWith('.ts') ? TSX_ARGS : [])
