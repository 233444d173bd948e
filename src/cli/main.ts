#!/usr/bin/env node
/**
 * main.ts: the command `locktable`: arguments, errors, exit status.
 */
import { Command, CommanderError } from 'commander'
import { createRequire } from 'node:module'
import { LockError } from '../index.js'
import { defaultTablePath } from './common.js'
import { addDemo } from './demo.js'
import { EXIT, EXIT_HELP, exitCodeOf } from './exit-codes.js'
import { addManage } from './manage.js'
import { complain } from './output.js'
import { addRun } from './run.js'
import { addStatus } from './status.js'

function version(): string {
  const own = createRequire(import.meta.url)('../../package.json') as { version: string }
  return own.version
}

function makeProgram(): Command {
  const program = new Command('locktable')
    .description('Locks between the processes of one machine, in a table in shared memory.')
    .version(version())
    .option('-t, --table <path>', 'the table file (default: $LOCKTABLE, else $XDG_RUNTIME_DIR/locktable, else /run/locktable)', defaultTablePath())
    .enablePositionalOptions()
    .showHelpAfterError('(locktable --help tells more)')
    .addHelpText('afterAll', EXIT_HELP)
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
  addRun(program)
  addStatus(program)
  addManage(program)
  addDemo(program)
  for (const command of program.commands) command.exitOverride().copyInheritedSettings(program)
  return program
}

try {
  await makeProgram().parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.OK : EXIT.USAGE
  } else {
    const known = error instanceof LockError || error instanceof TypeError || error instanceof RangeError
    complain(known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error))
    process.exitCode = exitCodeOf(error)
  }
}
