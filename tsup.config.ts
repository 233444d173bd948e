import { existsSync, readFileSync } from 'node:fs'
import { defineConfig, type Options } from 'tsup'

const library = 'src/index.ts'
const datastore = 'src/datastore/index.ts'
const worker = 'src/datastore/pipeline/worker.ts'
const commandLine = 'src/cli/main.ts'
const hasCommandLine = existsSync(commandLine)

const common: Options = {
  target: 'node20',
  platform: 'node',
  tsconfig: 'tsconfig.build.json',
  outDir: 'dist',
  clean: false, // scripts/build-dist.mjs empties dist once, before the formats are built side by side
  sourcemap: false,
  minify: false,
  silent: true,
  removeNodeProtocol: false,
}

/** With a meaning for import.meta.url; tsup's own (`shims`) is wrong below a directory with a "#", "?" or "%" in its name. */
const commonJs: Options = {
  format: 'cjs',
  banner: { js: `'use strict'; const moduleUrl = require('node:url').pathToFileURL(__filename).href` },
  esbuildOptions(options) {
    options.define = { ...options.define, 'import.meta.url': 'moduleUrl' }
  },
}

export default defineConfig([
  // The library and the command line share their code: one copy of it on disk and in a process. Not so with the threads, which load all of it anew: what
  // they shared with the library would be more files for both. In CommonJS, as a thread that has no modules begins 15 ms of processor time sooner.
  { ...common, entry: { 'datastore-worker': worker }, ...commonJs },
  {
    ...common,
    entry: { index: library, datastore, ...(hasCommandLine ? { 'cli/main': commandLine } : {}) },
    format: 'esm',
    splitting: true,
    dts: { entry: { index: library, datastore } },
    esbuildOptions(options) {
      options.chunkNames = 'chunks/[name]-[hash]'
    },
    esbuildPlugins: [
      {
        name: 'hashbang',
        setup(build) {
          build.onLoad({ filter: /src\/cli\/main\.ts$/ }, ({ path }) => {
            const source = readFileSync(path, 'utf8')
            return { contents: source.startsWith('#!') ? source : `#!/usr/bin/env node\n${source}`, loader: 'ts' }
          })
        },
      },
    ],
  },
  // The data store is a module only, which Node >= 20.19 can require: bundled here it would bring a second copy of the locks.
  { ...common, entry: { index: library }, ...commonJs, dts: { entry: { index: library } } },
])
