/** tsx.ts: how a benchmark starts another Node that can read TypeScript, wherever that one's working directory is. */
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

export const TSX_ARGS: readonly string[] = ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href]
