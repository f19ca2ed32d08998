import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import connect from 'postgres'
import { describe, expect, inject, test } from 'vitest'
import { PARTS, readOptions } from '../bench/options.ts'

describe('npm run bench', () => {
  test('measures, says what was reached, and leaves no database behind', { timeout: 300_000 }, async () => {
    const { url } = inject('postgres')
    const env = { ...process.env, TEST_DATABASE_URL: url }
    const bench = spawn(process.execPath, ['bench/main.ts', 'engine', 'http', '--smoke'], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const output = await text(bench.stdout)
    // The other parts wait for leases and fill tables: too long for each run of the tests.
    for (const heading of ['2 at once', 'GraphQL over HTTP', 'Targets', 'Done in']) expect(output).toContain(heading)
    expect(output).not.toContain('NaN')
    const sql = connect(url, { max: 1, onnotice: () => {} })
    const left = await sql`select datname from pg_database where datname like ${`kern_bench_${bench.pid}_%`}`
    await sql.end()
    expect([...left]).toEqual([])
  })

  test('refuses a part and a number that it does not know, and says which there are', () => {
    expect(() => readOptions(['engines'], {})).toThrow(`there is no part 'engines': npm run bench -- [engine] [http]`)
    expect(() => readOptions(['--repeats', 'many'], {})).toThrow(`--repeats is 'many', and must be a number above 0`)
    expect(readOptions([], {}).parts).toEqual(PARTS)
  })
})
