import { describe, test } from 'vitest'
import { torture } from './torture.ts'

/** KERN_LIVE=full: as much as ever; takes minutes. */
const FULL = process.env['KERN_LIVE'] === 'full'

const SIZE = FULL
  ? { clients: 500, cuts: 20, runs: 50, shared: 16, kills: 20, ms: 400, hangsAfterMs: 900_000 }
  : { clients: 200, cuts: 20, runs: 50, shared: 16, kills: 8, ms: 250, hangsAfterMs: 240_000 }
const SMALL = { clients: 48, cuts: 10, runs: 12, shared: 4, kills: 3, ms: 60, hangsAfterMs: 100_000 }

const report = (what: string): void => void (FULL && process.stderr.write(`${what}\n`))

describe('clients that lose their connections, their servers and their workers', () => {
  test(`see every event once and in order: ${SIZE.clients} clients, each cut off ${SIZE.cuts} times`, {
    timeout: SIZE.hangsAfterMs + 30_000,
  }, async () => {
    report(await torture({ ...SIZE, hints: true }))
  })

  test('see every event once and in order where processes tell each other nothing', {
    timeout: SMALL.hangsAfterMs + 30_000,
  }, async () => {
    report(await torture({ ...SMALL, hints: false }))
  })
})
