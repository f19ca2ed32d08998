import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { Terminal } from './terminal.ts'

interface Flags {
  readonly output?: string
}

/** `kern schema`: prints the GraphQL schema. */
export function addSchema(program: Command, terminal: Terminal): void {
  program
    .command('schema')
    .description('Print the GraphQL schema as SDL.')
    .option('-o, --output <file>', 'Write it to this file instead.')
    .action(async ({ output }: Flags) => {
      const { printedSchema } = await import('../../schema/print.ts')
      const sdl = printedSchema()
      if (output === undefined) terminal.out(sdl)
      else await writeFile(output, sdl)
    })
}
