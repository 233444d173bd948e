#!/usr/bin/env node
/**
 * main.ts: the command `locktable`: its commands, errors, exit status.
 */
import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { addTableOptions } from './common.js'
import { addCheck } from './check.js'
import { addDemo } from './demo.js'
import { addEvict } from './evict.js'
import { EXIT, exitCodeOf, exitHelp, messageOf } from './exit-codes.js'
import { addManage } from './manage.js'
import { complain } from './output.js'
import { addRun } from './run.js'
import { addStatus } from './status.js'
import { addStore } from './store.js'

function version(): string {
  const own = createRequire(import.meta.url)('../../package.json') as { version: string }
  return own.version
}

async function makeProgram(): Promise<Command> {
  const program = addTableOptions(new Command('locktable'))
    .description('Locks between the processes of one machine, in a table in shared memory.')
    .version(version())
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => {
        write(`locktable: ${text.replace(/^error: /, '').trim().replaceAll('\n', ' ')}\n`)
      },
    })
    .addHelpText('after', `
The table is the file named by --table, else by $LOCKTABLE, else
/run/locktable (root) or $XDG_RUNTIME_DIR/locktable (others).

"locktable COMMAND --help" has examples and what else a command may return.
`)
    .addHelpText('after', exitHelp())
  addRun(program)
  addStatus(program)
  addCheck(program)
  addManage(program)
  addEvict(program)
  await addStore(program)
  addDemo(program)
  return program
}

// Whoever reads us may have seen enough (`locktable status | head -1`).
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.OK)
  complain(`cannot write to standard output: ${error.message}`)
  process.exit(EXIT.IO)
})
process.stderr.on('error', () => undefined) // nobody can be told then, but for the status

try {
  await (await makeProgram()).parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.OK : EXIT.USAGE
  } else {
    complain(messageOf(error))
    if (process.env['LOCKTABLE_DEBUG'] && error instanceof Error) console.error(error.stack)
    process.exitCode = exitCodeOf(error)
  }
}
