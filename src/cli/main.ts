#!/usr/bin/env node
import { ignoreClosedOutput } from '../log.ts'
import { runCli } from './program.ts'

process.stdout.on('error', ignoreClosedOutput)
process.stderr.on('error', ignoreClosedOutput)
const exitCode = await runCli(process.argv.slice(2))
// Whatever the code of a workflow still waits for must not hold up the end; what was written has to leave before it.
process.stdout.write('', () => process.exit(exitCode))
