import { describe, expect, test } from 'vitest'
import type { EventRecord, RunEventType, RunStatus, StepRecord } from '../../src/engine/records.ts'
import { grammarFaults, type RecordedRun } from '../support/eventGrammar.ts'

const AT = new Date('2024-11-19T14:30:00.000Z')

const stepOf = (path: string, attempts: number, given: Partial<StepRecord> = {}): StepRecord => ({
  runId: 'r',
  path,
  position: path.length,
  parentPath: path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : null,
  name: path,
  kind: 'step',
  status: 'COMPLETED',
  inputFrom: 'run',
  input: undefined,
  output: 1,
  outputPreview: '1',
  error: null,
  statePatch: undefined,
  historyUsed: false,
  stopsRun: false,
  maxAttempts: 1,
  attempts: Array.from({ length: attempts }, (_, index) => ({
    number: index + 1,
    startedAt: AT.toISOString(),
    completedAt: AT.toISOString(),
    error: null,
  })),
  startedAt: AT,
  completedAt: AT,
  ...given,
})

/** A run with these events, such as `STEP_STARTED a 1`, and steps that each had one attempt. */
function runOf(lines: readonly string[], paths: readonly string[], status: RunStatus = 'COMPLETED'): RecordedRun {
  const steps = paths.map((path) => stepOf(path, 1))
  const events = lines.map((line, index): EventRecord => {
    const [type = '', path = null, attempt] = line.split(' ')
    const data = attempt === undefined ? undefined : { attempt: Number(attempt) }
    return { runId: 'r', seq: index + 1, type: type as RunEventType, at: AT, stepPath: path, name: null, data }
  })
  return { run: { status, lastSeq: events.length, stepCount: steps.length, attemptCount: steps.length }, steps, events }
}

const begin = ['RUN_QUEUED', 'RUN_STARTED']
const whole = [...begin, 'STEP_STARTED a 1', 'STEP_STARTED a/b 1', 'STEP_COMPLETED a/b', 'STEP_COMPLETED a']
const sound = runOf([...whole, 'RUN_COMPLETED'], ['a', 'a/b'])

describe('the check of events', () => {
  test('finds nothing wrong with a sound run', () => {
    expect(grammarFaults(sound)).toEqual([])
    expect(grammarFaults(runOf(['RUN_QUEUED', 'RUN_CANCELLED'], [], 'CANCELLED'))).toEqual([])
  })

  const { run, steps, events } = sound
  const without = (seq: number) => events.filter((event) => event.seq !== seq)
  const faulty: [string, RecordedRun][] = [
    ['a gap', { ...sound, events: without(4) }],
    ['a repetition', { ...sound, events: [...events.slice(0, 3), ...events.slice(2)] }],
    ['no final event', runOf(whole, ['a', 'a/b'])],
    ['two final events', runOf([...whole, 'RUN_COMPLETED', 'RUN_COMPLETED'], ['a', 'a/b'])],
    ['the wrong final event', runOf([...whole, 'RUN_FAILED'], ['a', 'a/b'])],
    ['something after the final event', runOf([...begin, 'RUN_COMPLETED', 'LOG'], [])],
    ['a start before the queue', runOf(['RUN_STARTED', 'RUN_QUEUED', 'RUN_COMPLETED'], [])],
    ['a second start', runOf([...begin, 'RUN_STARTED', 'RUN_COMPLETED'], [])],
    ['an end without a start', runOf([...begin, 'STEP_COMPLETED a', 'RUN_COMPLETED'], ['a'])],
    ['a step that starts after its end', runOf([...whole, 'STEP_STARTED a 2', 'RUN_COMPLETED'], ['a', 'a/b'])],
    ['an attempt that is left out', runOf([...begin, 'STEP_STARTED a 2', 'STEP_COMPLETED a', 'RUN_COMPLETED'], ['a'])],
    ['a child after its parent', runOf([...whole, 'STEP_STARTED a/c 1', 'RUN_COMPLETED'], ['a', 'a/b', 'a/c'])],
    [
      'two steps at once',
      runOf([...begin, 'STEP_STARTED a 1', 'STEP_STARTED b 1', 'RUN_FAILED'], ['a', 'b'], 'FAILED'),
    ],
    ['a line of a step that is over', runOf([...whole, 'LOG a', 'RUN_COMPLETED'], ['a', 'a/b'])],
    ['a step without a row', { ...sound, steps: steps.slice(1) }],
    ['a row without events', { ...sound, steps: [...steps, stepOf('lonely', 1)] }],
    ['a row with another status', { ...sound, steps: [stepOf('a', 1, { status: 'FAILED' }), ...steps.slice(1)] }],
    ['a row with other attempts', { ...sound, steps: [stepOf('a', 2), ...steps.slice(1)] }],
    ['a row that is still open', { ...sound, steps: [stepOf('a', 1, { completedAt: null }), ...steps.slice(1)] }],
    ['a wrong count of steps', { ...sound, run: { ...run, stepCount: 3 } }],
    ['a wrong last event', { ...sound, run: { ...run, lastSeq: 6 } }],
  ]
  test.each(faulty)('finds %s', (_title, broken) => {
    expect(grammarFaults(broken)).not.toEqual([])
  })
})
