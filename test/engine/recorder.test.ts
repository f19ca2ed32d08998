import { expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { Journal, RunWrite, WriteOutcome } from '../../src/engine/ports.ts'
import { createRecorder } from '../../src/engine/recorder.ts'
import { plainRun } from '../support/records.ts'

const at = new Date('2024-11-19T14:30:00Z')

/** A recorder whose writes are committed one by one, when the test says so. */
function held() {
  const writes: { readonly seqs: readonly number[]; readonly commit: () => void }[] = []
  const journal: Pick<Journal, 'write'> = {
    write: ({ events }: RunWrite) =>
      new Promise<WriteOutcome>((resolve) => {
        writes.push({
          seqs: events.map(({ seq }) => seq),
          commit: () => resolve({ type: 'committed', nextRunId: null }),
        })
      }),
  }
  const recorder = createRecorder({
    journal: { ...journal, accept: () => Promise.reject(new Error('nothing is accepted here')) },
    clock: systemClock,
    run: {
      ...plainRun,
      runId: 'run',
      sessionId: 'session',
      workflowId: 'w',
      workflowName: 'W',
      number: 1,
      status: 'RUNNING',
      lastSeq: 1,
      createdAt: at,
      startedAt: at,
      completedAt: null,
      durationMs: null,
    },
    steps: [],
    committed: () => undefined,
    lost: () => undefined,
  })
  return { recorder, writes }
}

const result = { events: [{ type: 'STEP_COMPLETED' }] } as const

/** Lets everything happen that needs no more than the event loop. */
const settle = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

test('resolves when all that was deferred before it is durable, also what came while another waited', async () => {
  const { recorder, writes } = held()
  const durable: string[] = []
  recorder.defer(result)
  const first = recorder.durable().then(() => durable.push('first'))
  await settle()
  recorder.defer(result)
  const second = recorder.durable().then(() => durable.push('second'))
  await settle()
  expect(writes.map(({ seqs }) => seqs)).toEqual([[2]])
  writes[0]?.commit()
  await settle()
  // Another asks while the second write is on its way: what it comes after is not durable either.
  const third = recorder.durable().then(() => durable.push('third'))
  await settle()
  expect(writes.map(({ seqs }) => seqs)).toEqual([[2], [3]])
  expect(durable).not.toContain('second')
  expect(durable).not.toContain('third')
  writes[1]?.commit()
  await Promise.all([first, second, third])
  expect(recorder.seq()).toBe(3)
})

test('needs no write where nothing was deferred', async () => {
  const { recorder, writes } = held()
  await recorder.durable()
  expect(writes).toEqual([])
})
