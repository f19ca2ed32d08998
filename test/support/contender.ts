import { once } from 'node:events'
import { acquireLock } from '../../src/db/lock.ts'
import { KernError } from '../../src/errors.ts'

/** A process that asks for the lock of a folder when it is told to, and lives until it is killed or its input ends. */
const [folder = ''] = process.argv.slice(2)
process.stdout.write('ready\n')
await once(process.stdin, 'data')
try {
  await acquireLock(folder)
  process.stdout.write('held\n')
} catch (error) {
  process.stdout.write(error instanceof KernError ? `${error.code}: ${error.message}\n` : `${String(error)}\n`)
}
