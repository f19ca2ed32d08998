#!/usr/bin/env node
import { nodeRefusal } from './node.ts'

const refusal = nodeRefusal(process.versions.node)
if (refusal !== null) {
  process.stderr.write(`kern: ${refusal}\n`)
  process.exit(1)
}
// Not before: an older Node may fail to load them, with words that do not help.
const [{ ignoreClosedOutput }, { runCli }] = await Promise.all([import('../log.ts'), import('./program.ts')])
process.stdout.on('error', ignoreClosedOutput)
process.stderr.on('error', ignoreClosedOutput)
const exitCode = await runCli(process.argv.slice(2))
// Whatever the code of a workflow still waits for must not hold up the end; what was written has to leave before it.
process.stdout.write('', () => process.exit(exitCode))
