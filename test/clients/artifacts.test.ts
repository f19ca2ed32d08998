import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

test('what relay-compiler made of the example is as it would make it of the schema now: else npm run relay', async () => {
  const run = promisify(execFile)(join(root, 'node_modules/.bin/relay-compiler'), ['--validate'], {
    cwd: join(root, 'examples/clients/relay'),
  })
  expect((await run).stdout).toContain('compiled documents')
})
