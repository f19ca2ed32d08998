import { Command, CommanderError } from 'commander'
import { isKernError } from '../errors.ts'
import { addMigrate } from './migrate.ts'
import { addPrune } from './prune.ts'
import { addSchema } from './schema.ts'
import { addStart } from './start.ts'
import type { Terminal } from './terminal.ts'
import { kernVersion } from './version.ts'

const PROCESS: Terminal = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
}

/**
 * Runs one command of the command line.
 *
 * @param args what stands behind `kern`
 * @returns the exit code: 0 done, 1 failed, 2 used wrongly
 */
export async function runCli(args: readonly string[], terminal: Terminal = PROCESS): Promise<number> {
  const program = new Command('kern')
    .description('Runs multi-step workflows behind a GraphQL API and keeps their session history.')
    .version(kernVersion(), '-V, --version', 'Print the version.')
    .helpOption('-h, --help', 'Print what a command does and takes.')
    .helpCommand(false)
    .showHelpAfterError('Try --help.')
    .exitOverride()
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text) })
  let exitCode = 0
  addStart(program, terminal, (code) => {
    exitCode = code
  })
  addMigrate(program, terminal)
  addPrune(program, terminal)
  addSchema(program, terminal)
  try {
    await program.parseAsync(args, { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    terminal.err(`kern: ${explained(error)}\n`)
    return 1
  }
}

/** An error of ours says all that helps; of any other the place helps to find it. */
function explained(error: unknown): string {
  if (isKernError(error)) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
