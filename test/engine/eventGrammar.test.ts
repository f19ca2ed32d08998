import { describe, expect, test } from 'vitest'
import type { EventRecord, RunEventType, RunStatus, StepRecord, StepStatus } from '../../src/engine/records.ts'
import { grammarFaults, type RecordedRun } from '../support/eventGrammar.ts'
import { plainStep } from '../support/records.ts'

const AT = new Date('2024-11-19T14:30:00.000Z')

const stepOf = (path: string, attempts: number, given: Partial<StepRecord> = {}): StepRecord => ({
  runId: 'r',
  path,
  ...plainStep,
  position: 0,
  parentPath: path.includes('/') ? path.slice(0, path.lastIndexOf('/')).replace(/\[\d+\]$/, '') : null,
  name: path,
  status: 'COMPLETED',
  inputFrom: 'run',
  output: 1,
  outputPreview: '1',
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

const interrupted = { name: 'KernError', code: 'INTERRUPTED', message: 'cut off', stepPath: 'a', retryable: true }

/** A line as an event: `STEP_STARTED a 1`, `STEP_PAUSED a error`, `RUN_PAUSED a,b`. */
function eventOf(line: string, index: number): EventRecord {
  // The tests below give nothing but types of events.
  const [type, second, third] = line.split(' ') as [RunEventType, ...string[]]
  const waits = type === 'RUN_PAUSED'
  const data = waits
    ? { waiting: second?.split(',') ?? [] }
    : third === undefined
      ? undefined
      : type === 'STEP_PAUSED'
        ? { reason: third }
        : { attempt: Number(third) }
  const stepPath = waits ? null : (second ?? null)
  return { runId: 'r', seq: index + 1, type, at: AT, stepPath, name: null, data }
}

interface Given {
  readonly status?: RunStatus
  readonly kinds?: Readonly<Record<string, string>>
  readonly rows?: Readonly<Record<string, Partial<StepRecord>>>
  readonly stoppedBy?: string
}

/**
 * A run with these events. Each step that they speak of has a row with as many attempts and the status that they tell;
 * `rows` says what else is in it.
 */
function runOf(lines: readonly string[], given: Given = {}): RecordedRun {
  const { status = 'COMPLETED', kinds = {}, rows = {}, stoppedBy = null } = given
  const events = lines.map(eventOf)
  const told = events.flatMap(({ type, stepPath }) => (type.startsWith('STEP_') && stepPath !== null ? [stepPath] : []))
  const paths = [...new Set([...told, ...Object.keys(rows)])]
  const steps = paths.map((path, position) => {
    const own = events.filter(({ type, stepPath }) => stepPath === path && type.startsWith('STEP_'))
    const attempts = own.filter(({ type }) => type === 'STEP_STARTED').length
    const last = own.at(-1)?.type.replace('STEP_', '').replace('STARTED', 'RUNNING')
    // What ends `STEP_` is a status, but for the start.
    const its = (last ?? 'COMPLETED') as StepStatus
    return stepOf(path, attempts, { position, status: its, kind: kinds[path] ?? 'step', ...rows[path] })
  })
  const attemptCount = steps.reduce((sum, { attempts }) => sum + attempts.length, 0)
  const run = { status, lastSeq: events.length, stepCount: steps.length, attemptCount, error: null, stoppedBy }
  return { run, steps, events }
}

const begin = ['RUN_QUEUED', 'RUN_STARTED']
const whole = [...begin, 'STEP_STARTED a 1', 'STEP_STARTED a/b 1', 'STEP_COMPLETED a/b', 'STEP_COMPLETED a']
const sound = runOf([...whole, 'RUN_COMPLETED'])
/** Between the start of a run and its end as COMPLETED. */
const around = (...lines: string[]) => [...begin, ...lines, 'RUN_COMPLETED']
/** A step from its start to its end. */
const all = (path: string) => [`STEP_STARTED ${path} 1`, `STEP_COMPLETED ${path}`]
const waits = [...begin, 'STEP_STARTED a 1', 'STEP_PAUSED a input']

describe('the check of events', () => {
  const good: [string, RecordedRun][] = [
    ['a run of steps in each other', sound],
    ['a run that was cancelled before it started', runOf(['RUN_QUEUED', 'RUN_CANCELLED'], { status: 'CANCELLED' })],
    ['a retry', runOf(around('STEP_STARTED a 1', 'STEP_RETRYING a', 'STEP_STARTED a 2', 'STEP_COMPLETED a'))],
    [
      'a retry that was cut off',
      runOf([...begin, 'STEP_STARTED a 1', 'STEP_RETRYING a', 'STEP_CANCELLED a', 'RUN_CANCELLED'], {
        status: 'CANCELLED',
      }),
    ],
    ['a skipped step', runOf(around('STEP_STARTED a 1', 'STEP_SKIPPED a'))],
    [
      'an attempt after one that was cut off with its process',
      runOf(around('STEP_STARTED a 1', 'STEP_STARTED a 2', 'STEP_COMPLETED a'), {
        rows: { a: { attempts: stepOf('a', 2).attempts.map((each) => ({ ...each, error: interrupted })) } },
      }),
    ],
    ['a run that is paused', runOf([...waits, 'RUN_PAUSED a'], { status: 'PAUSED' })],
    [
      'a run that was answered',
      runOf([...waits, 'RUN_PAUSED a', 'RUN_RESUMED a', 'STEP_COMPLETED a', 'RUN_COMPLETED']),
    ],
    ['a step that was answered before the run was paused', runOf([...waits, 'STEP_COMPLETED a', 'RUN_COMPLETED'])],
    [
      'a run that was cancelled while it was paused',
      runOf([...waits, 'RUN_PAUSED a', 'STEP_CANCELLED a', 'RUN_CANCELLED'], { status: 'CANCELLED' }),
    ],
    [
      'a failure that a person lets try again',
      runOf(
        around(
          'STEP_STARTED a 1',
          'STEP_PAUSED a error',
          'RUN_PAUSED a',
          'RUN_RESUMED a',
          'STEP_STARTED a 2',
          'STEP_COMPLETED a',
        ),
      ),
    ],
    [
      'branches at the same time',
      runOf(
        around(
          'STEP_STARTED p 1',
          'STEP_STARTED p/a 1',
          'STEP_STARTED p/b 1',
          'STEP_COMPLETED p/a',
          'STEP_COMPLETED p/b',
          'STEP_COMPLETED p',
        ),
        { kinds: { p: 'parallel' } },
      ),
    ],
    [
      'items at the same time, each with its steps in order',
      runOf(
        around(
          'STEP_STARTED m 1',
          'STEP_STARTED m[0]/a 1',
          ...all('m[1]/a'),
          'STEP_STARTED m[1]/b 1',
          'STEP_COMPLETED m[0]/a',
          'STEP_COMPLETED m[1]/b',
          'STEP_COMPLETED m',
        ),
        { kinds: { m: 'map' } },
      ),
    ],
    [
      'branches that are cut off by a stop',
      runOf(around('STEP_STARTED p 1', 'STEP_STARTED p/a 1', ...all('p/b'), 'STEP_CANCELLED p/a', 'STEP_COMPLETED p'), {
        kinds: { p: 'parallel' },
        stoppedBy: 'p/b',
      }),
    ],
    ['a step that was taken over', runOf(around(...all('b')), { rows: { a: { attempts: [] } } })],
  ]
  test.each(good)('finds nothing wrong with %s', (_title, recorded) => {
    expect(grammarFaults(recorded)).toEqual([])
  })

  const { run, steps, events } = sound
  const without = (seq: number) => events.filter((event) => event.seq !== seq)
  const faulty: [string, RecordedRun, string][] = [
    ['a gap', { ...sound, events: without(4) }, 'stands in place'],
    ['a repetition', { ...sound, events: [...events.slice(0, 3), ...events.slice(2)] }, 'stands in place'],
    ['a time that goes back', { ...sound, events: events.map(older) }, 'is older'],
    ['no final event', runOf(whole), 'no final event'],
    ['two final events', runOf([...whole, 'RUN_COMPLETED', 'RUN_COMPLETED']), 'RUN_COMPLETED,RUN_COMPLETED'],
    ['the wrong final event', runOf([...whole, 'RUN_FAILED']), 'a run that is COMPLETED has RUN_FAILED'],
    ['something after the final event', runOf([...begin, 'RUN_COMPLETED', 'LOG']), 'not the last'],
    ['a start before the queue', runOf(['RUN_STARTED', 'RUN_QUEUED', 'RUN_COMPLETED']), 'RUN_QUEUED'],
    ['a second start', runOf(around('RUN_STARTED')), 'RUN_STARTED comes twice'],
    [
      'a late start',
      runOf(['RUN_QUEUED', ...all('a'), 'RUN_STARTED', 'RUN_COMPLETED']),
      'RUN_STARTED is not the second',
    ],
    ['a stored progress', runOf(around('STEP_STARTED a 1', 'STEP_PROGRESS a', 'STEP_COMPLETED a')), 'is stored'],
    ['a wrong count of steps', { ...sound, run: { ...run, stepCount: 3 } }, 'stepCount'],
    ['a wrong count of attempts', { ...sound, run: { ...run, attemptCount: 3 } }, 'attemptCount'],
    ['a wrong last event', { ...sound, run: { ...run, lastSeq: 6 } }, 'lastSeq'],

    ['an event of no step', runOf(around('STEP_COMPLETED')), 'of no step'],
    ['an end without a start', runOf(around('STEP_COMPLETED a')), 'has not started'],
    ['a step that starts after its end', runOf(around(...all('a'), 'STEP_STARTED a 2')), 'the step was over'],
    ['a step that ends twice', runOf(around(...all('a'), 'STEP_FAILED a')), 'the step was over'],
    ['an attempt that is left out', runOf(around('STEP_STARTED a 2', 'STEP_COMPLETED a')), 'attempt 2 comes after 0'],
    [
      'an attempt before the end of another',
      runOf(around('STEP_STARTED a 1', 'STEP_STARTED a 2', 'STEP_COMPLETED a')),
      'has not ended',
    ],
    [
      'an end where another attempt was to come',
      runOf(around('STEP_STARTED a 1', 'STEP_RETRYING a', 'STEP_COMPLETED a')),
      'another attempt was to come',
    ],
    ['a retry of a step that is not open', runOf(around(...all('a'), 'STEP_RETRYING a')), 'the step is not open'],
    ['a line of a step that is over', runOf(around(...all('a'), 'LOG a')), 'the step is not open'],
    [
      'a child after its parent',
      runOf([...whole, ...all('a/c'), 'RUN_COMPLETED']),
      'event 7, STEP_STARTED of a/c: its parent is not open',
    ],
    [
      'a parent that ends before its child',
      runOf(around('STEP_STARTED a 1', 'STEP_STARTED a/b 1', 'STEP_COMPLETED a', 'STEP_COMPLETED a/b')),
      'a/b, which is in it, is open',
    ],
    [
      'two steps of a list at once',
      runOf(around('STEP_STARTED a 1', 'STEP_STARTED b 1', 'STEP_COMPLETED a', 'STEP_COMPLETED b')),
      'a is open beside it',
    ],
    [
      'two steps of a sequence at once',
      runOf(around('STEP_STARTED s 1', 'STEP_STARTED s/a 1', ...all('s/b'), 'STEP_COMPLETED s/a', 'STEP_COMPLETED s')),
      's/a is open beside it',
    ],
    [
      'two steps of an item at once',
      runOf(
        around(
          'STEP_STARTED m 1',
          'STEP_STARTED m[0]/a 1',
          ...all('m[0]/b'),
          'STEP_COMPLETED m[0]/a',
          'STEP_COMPLETED m',
        ),
        { kinds: { m: 'map' } },
      ),
      'm[0]/a is open beside it',
    ],
    [
      'two iterations at once',
      runOf(
        around(
          'STEP_STARTED l 1',
          'STEP_STARTED l[1]/a 1',
          ...all('l[2]/a'),
          'STEP_COMPLETED l[1]/a',
          'STEP_COMPLETED l',
        ),
        { kinds: { l: 'loop' } },
      ),
      'l[1]/a is open beside it',
    ],
    [
      'a step that goes on beside one that waits in the same list',
      runOf([...waits, ...all('b'), 'STEP_COMPLETED a', 'RUN_COMPLETED']),
      'a is open beside it',
    ],

    ['a pause for nothing', runOf([...begin, 'STEP_STARTED a 1', 'STEP_PAUSED a'], { status: 'RUNNING' }), 'for what'],
    [
      'an attempt of a step that waits for data',
      runOf([...waits, 'STEP_STARTED a 2', 'STEP_COMPLETED a', 'RUN_COMPLETED']),
      'it waits for data',
    ],
    ['a run that is paused without a step', runOf([...begin, 'RUN_PAUSED'], { status: 'PAUSED' }), 'it names no step'],
    [
      'a run that is paused for another step',
      runOf([...waits, 'RUN_PAUSED b'], { status: 'PAUSED' }),
      'it names b, while a wait',
    ],
    [
      'a step that goes on while its run is paused',
      runOf([...waits, 'RUN_PAUSED a', 'STEP_COMPLETED a', 'RUN_COMPLETED']),
      'the run is paused',
    ],
    [
      'a step that is cancelled while its run is paused',
      runOf([...waits, 'RUN_PAUSED a', 'STEP_CANCELLED a', 'RUN_RESUMED', 'RUN_COMPLETED'], { stoppedBy: 'b' }),
      'was not cancelled',
    ],
    [
      'a resumption of a run that is not paused',
      runOf([...waits, 'RUN_RESUMED a', 'STEP_COMPLETED a', 'RUN_COMPLETED']),
      'not paused',
    ],
    [
      'a resumption by a step that does not wait',
      runOf([...waits, 'RUN_PAUSED a', 'RUN_RESUMED b', 'STEP_COMPLETED a', 'RUN_COMPLETED']),
      'the step does not wait',
    ],
    [
      'a run whose status is not what its events say',
      runOf([...waits, 'RUN_PAUSED a'], { status: 'RUNNING' }),
      'say that',
    ],

    ['a step without a row', { ...sound, steps: steps.slice(0, 1) }, 'a/b, which has no row'],
    ['a row without events', { ...sound, steps: [...steps, stepOf('lonely', 1)] }, 'no event speaks of it'],
    ['a row that was taken over, with events', { ...sound, steps: [stepOf('a', 0), ...steps.slice(1)] }, 'taken over'],
    [
      'a row with another status',
      { ...sound, steps: [stepOf('a', 1, { status: 'FAILED' })] },
      'its events say COMPLETED',
    ],
    ['a row with other attempts', { ...sound, steps: [stepOf('a', 2)] }, '1 attempts were told, 2 kept'],
    ['a row that is still open', { ...sound, steps: [stepOf('a', 1, { completedAt: null })] }, 'is open'],
    ['a row with another parent', { ...sound, steps: [stepOf('a/b', 1, { parentPath: null })] }, 'its parent is null'],
    ['a row whose parent has none', { ...sound, steps: [stepOf('a/b', 1)] }, 'its parent has no row'],
    ['rows in one place', { ...sound, steps: steps.map((step) => ({ ...step, position: 0 })) }, 'shares position 0'],
    [
      'attempts with wrong numbers',
      { ...sound, steps: [stepOf('a', 1, { attempts: stepOf('a', 2).attempts.slice(1) })] },
      'not numbered',
    ],
    ['a failed step in a completed run', runOf(around('STEP_STARTED a 1', 'STEP_FAILED a')), 'its run is COMPLETED'],
    ['a step that was cut off by nothing', runOf(around('STEP_STARTED a 1', 'STEP_CANCELLED a')), 'was not stopped'],
  ]
  test.each(faulty)('finds %s', (_title, broken, fault) => {
    expect(grammarFaults(broken)).toContainEqual(expect.stringContaining(fault))
  })
})

/** The same event; the last one is older. */
function older(event: EventRecord): EventRecord {
  return event.type === 'RUN_COMPLETED' ? { ...event, at: new Date(AT.getTime() - 1) } : event
}
