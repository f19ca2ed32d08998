import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { StepProgress } from '../../src/engine/ports.ts'
import type { EventRecord, RunEventType } from '../../src/engine/records.ts'
import { createPendingProgress, type PendingProgress } from '../../src/events/progress.ts'

const RUN = 'r1'

const eventOf = (seq: number, type: RunEventType, stepPath: string | null = null, runId = RUN): EventRecord => ({
  runId,
  seq,
  type,
  at: new Date(0),
  stepPath,
  name: null,
  data: undefined,
})

const progressOf = (given: Partial<StepProgress> = {}): StepProgress => ({
  runId: RUN,
  path: 'a',
  sessionId: 's1',
  workflowId: 'w1',
  number: 1,
  seq: 2,
  at: new Date(1),
  partialOutput: 'so far',
  ...given,
})

/** Everything that may be given now, as its path, `seq` and data. */
function given(pending: PendingProgress): unknown[][] {
  const all: unknown[][] = []
  for (let event = pending.take(); event; event = pending.take()) all.push([event.stepPath, event.seq, event.data])
  return all
}

describe('progress that waits for its stream', () => {
  test('is given as an event with the place at which the stream stands', () => {
    const pending = createPendingProgress([{ runId: RUN, seq: 5 }])
    pending.offer(progressOf())
    expect(pending.take()).toEqual({
      runId: RUN,
      seq: 5,
      type: 'STEP_PROGRESS',
      at: new Date(1),
      stepPath: 'a',
      name: null,
      data: 'so far',
    })
    expect(pending.take()).toBeUndefined()
  })

  test('is given only once the stream has passed what came before it', () => {
    const pending = createPendingProgress([{ runId: RUN, seq: 0 }])
    pending.offer(progressOf({ seq: 2 }))
    pending.passed(eventOf(1, 'RUN_QUEUED'))
    expect(given(pending)).toEqual([])
    pending.passed(eventOf(2, 'STEP_STARTED', 'a'))
    expect(given(pending)).toEqual([['a', 2, 'so far']])
  })

  test('is given when the stream comes to the place of the first, however much newer the last is', () => {
    const pending = createPendingProgress([{ runId: RUN, seq: 0 }])
    for (let seq = 2; seq < 100; seq += 1) pending.offer(progressOf({ seq, partialOutput: seq }))
    pending.passed(eventOf(2, 'STEP_STARTED', 'a'))
    expect(given(pending)).toEqual([['a', 2, 99]])
  })

  test.each<RunEventType>([
    'STEP_RETRYING',
    'STEP_PAUSED',
    'STEP_COMPLETED',
    'STEP_FAILED',
    'STEP_SKIPPED',
    'STEP_CANCELLED',
  ])('is not given after %s of its step, unless that starts again', (type) => {
    const pending = createPendingProgress([{ runId: RUN, seq: 2 }])
    pending.offer(progressOf({ partialOutput: 'before' }))
    pending.passed(eventOf(3, type, 'a'))
    pending.offer(progressOf({ seq: 3, partialOutput: 'late' }))
    pending.offer(progressOf({ seq: 3, path: 'b' }))
    expect(given(pending)).toEqual([['b', 3, 'so far']])
    pending.offer(progressOf({ seq: 4, partialOutput: undefined }))
    pending.offer(progressOf({ seq: 4, partialOutput: 'again' }))
    expect(given(pending)).toEqual([])
    pending.passed(eventOf(4, 'STEP_STARTED', 'a'))
    expect(given(pending)).toEqual([['a', 4, 'again']])
  })

  test('is not given once the step has none any more, nor after the end of its run', () => {
    const pending = createPendingProgress([{ runId: RUN, seq: 2 }])
    pending.offer(progressOf())
    pending.offer(progressOf({ partialOutput: undefined }))
    expect(given(pending)).toEqual([])
    pending.offer(progressOf())
    pending.passed(eventOf(3, 'RUN_CANCELLED'))
    pending.offer(progressOf({ seq: 3 }))
    expect(given(pending)).toEqual([])
  })

  test('is given for each run where the stream stands in that run', () => {
    const pending = createPendingProgress([])
    pending.offer(progressOf({ runId: 'r2', seq: 1 }))
    pending.offer(progressOf({ seq: 1 }))
    pending.passed(eventOf(4, 'LOG', 'a'))
    expect(given(pending)).toEqual([['a', 4, 'so far']])
    pending.passed(eventOf(1, 'RUN_QUEUED', null, 'r2'))
    expect(given(pending)).toEqual([['a', 1, 'so far']])
  })

  test('lets every step have its turn, however often the others get on', () => {
    const pending = createPendingProgress([{ runId: RUN, seq: 9 }])
    const paths = ['a', 'b', 'c']
    const taken: unknown[] = []
    for (let round = 0; round < 6; round += 1) {
      for (const path of paths) pending.offer(progressOf({ path }))
      taken.push(pending.take()?.stepPath)
    }
    expect(taken).toEqual([...paths, ...paths])
  })

  test('is the newest of its step, of a step that is open, and at the place of the stream, in any order of things', () => {
    const path = fc.constantFrom('a', 'b')
    const type = fc.constantFrom<RunEventType>('STEP_STARTED', 'STEP_COMPLETED', 'STEP_RETRYING', 'LOG')
    const action = fc.oneof(
      fc.record({ does: fc.constant('offers' as const), path, ahead: fc.constantFrom(0, 0, 1, 2) }),
      fc.record({ does: fc.constant('ends' as const), path }),
      fc.record({ does: fc.constant('passes' as const), path, type }),
      fc.record({ does: fc.constant('takes' as const) }),
    )
    let taken = 0
    fc.assert(
      fc.property(fc.array(action, { minLength: 10, maxLength: 40, size: 'max' }), (actions) => {
        const pending = createPendingProgress([{ runId: RUN, seq: 0 }])
        const newest = new Map<string, number>()
        const open = new Map<string, boolean>()
        let seq = 0
        actions.forEach((next, index) => {
          if (next.does === 'offers') {
            newest.set(next.path, index)
            pending.offer(progressOf({ path: next.path, seq: seq + next.ahead, partialOutput: index }))
          } else if (next.does === 'ends') {
            newest.delete(next.path)
            pending.offer(progressOf({ path: next.path, seq, partialOutput: undefined }))
          } else if (next.does === 'passes') {
            seq += 1
            if (next.type !== 'LOG') open.set(next.path, next.type === 'STEP_STARTED')
            pending.passed(eventOf(seq, next.type, next.path))
          } else {
            const event = pending.take()
            if (!event) return
            taken += 1
            const at = event.stepPath ?? ''
            expect([event.seq, event.data, open.get(at) ?? true]).toEqual([seq, newest.get(at), true])
            newest.delete(at)
          }
        })
      }),
      { numRuns: 500 },
    )
    expect(taken).toBeGreaterThan(100)
  })
})
