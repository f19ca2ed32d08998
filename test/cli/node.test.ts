import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { nodeRefusal } from '../../src/cli/node.ts'

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')

test('Kern runs on the versions of Node that package.json names, and refuses older ones', async () => {
  const { engines } = JSON.parse(await readFile('package.json', 'utf8'))
  const oldest = String(engines.node).replace('>=', '')
  expect([`${oldest}.0`, '22.20.1', '23.0.0', '24.21.0'].map(nodeRefusal)).toEqual([null, null, null, null])
  for (const version of ['22.17.1', '20.20.2', '18.0.0']) {
    expect(nodeRefusal(version)).toBe(`this is Node ${version}: Kern needs Node ${oldest} or later`)
  }
})

test('the command ends with that refusal before it does anything else', async () => {
  const older = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '22.17.1' } })`
  const args = ['--import', `data:text/javascript,${encodeURIComponent(older)}`, MAIN, 'start', '--port', 'bogus']
  await expect(promisify(execFile)(process.execPath, args)).rejects.toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^kern: this is Node 22\.17\.1: Kern needs Node \S+ or later\n$/),
  })
})
