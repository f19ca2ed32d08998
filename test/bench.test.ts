import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import connect from 'postgres'
import { describe, expect, inject, test } from 'vitest'
import { PARTS, readOptions } from '../bench/options.ts'

const LIVE_HEADINGS = [
  'One event to 20 subscribers over WebSocket',
  'One event to 20 subscribers over SSE',
  '20 subscribers of 5 runs',
  '2 clients that stop reading among 18 others',
  '20 idle subscriptions on one process',
  'From a commit in one process to a subscriber',
]

describe('npm run bench', { timeout: 300_000 }, () => {
  // The other parts wait for leases and fill tables: too long for each run of the tests.
  test.each([
    { parts: ['engine', 'http'], headings: ['2 at once', 'GraphQL over HTTP', 'Targets', 'Done in'] },
    { parts: ['live'], headings: [...LIVE_HEADINGS, 'Targets', 'Done in'] },
  ])('$parts measures, says what was reached, and leaves no database behind', async ({ parts, headings }) => {
    const { url } = inject('postgres')
    const env = { ...process.env, TEST_DATABASE_URL: url }
    const bench = spawn(process.execPath, ['bench/main.ts', ...parts, '--smoke'], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const output = await text(bench.stdout)
    for (const heading of headings) expect(output).toContain(heading)
    expect(output).not.toContain('NaN')
    for (const [, lost] of output.matchAll(/deliveries lost.*? (\d+) /g)) expect(lost).toBe('0')
    const sql = connect(url, { max: 1, onnotice: () => {} })
    const left = await sql`select datname from pg_database where datname like ${`kern_bench_${bench.pid}_%`}`
    await sql.end()
    expect([...left]).toEqual([])
  })

  test('refuses a part and a number that it does not know, and says which there are', () => {
    expect(() => readOptions(['engines'], {})).toThrow(`there is no part 'engines': npm run bench -- [engine] [http]`)
    expect(() => readOptions(['--repeats', 'many'], {})).toThrow(`--repeats is 'many', and must be a number above 0`)
    expect(readOptions([], {}).parts).toEqual(PARTS)
    expect(readOptions(['http', 'live'], {}).parts).toEqual(['http', 'fanout', 'latency', 'slow', 'idle', 'cross'])
  })
})
