import { describe, expect, test } from 'vitest'
import { KernError } from '../../../src/errors.ts'
import type { EventRecord } from '../../../src/engine/records.ts'
import { createTestClock } from '../../../src/testing/clock.ts'
import { agentStep } from '../../../src/workflow/agentStep.ts'
import type { StepContext } from '../../../src/workflow/context.ts'
import type { HasDefinition } from '../../../src/workflow/definition.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { step } from '../../../src/workflow/step.ts'
import { createGate, eventsOf, type Gate, type KernSettings, startKern } from '../../support/kerns.ts'
import { saysThrough, startModelServer } from '../../support/modelServer.ts'
import { data, serve, watchSse, watchWebSocket } from '../../support/server.ts'
import { aborted, embedded, seen, workflowOf } from '../kinds/support.ts'

const database = embedded()

const standing = () => createTestClock(new Date('2030-01-01T00:00:00Z'))

/** Lets everything happen that waits for nothing but its turn. */
const turn = () => new Promise(setImmediate)

/** A run that is read event by event. */
async function begin(workflow: HasDefinition, settings: KernSettings = {}) {
  const kern = await startKern(database(), [workflow], settings)
  const stream = kern.stream(workflow.definition.id, {})
  /** The next event of a type, and of progress the one with this value. */
  async function next(type: EventRecord['type'], value?: unknown): Promise<EventRecord> {
    for (;;) {
      const { done, value: event } = await stream.next()
      if (done) throw new Error(`the run ended without ${type}`)
      if (event.type === type && (value === undefined || event.data === value)) return event
    }
  }
  const { runId } = await next('RUN_QUEUED')
  const end = async () => {
    for await (const _event of stream);
    return await seen(kern, runId)
  }
  return { kern, runId, next, end }
}

/** A step whose model begins only once its start was told, so that nothing that it says is missed. */
async function writing(...parts: readonly (string | Gate)[]) {
  const started = createGate()
  const { model, exchanges } = await startModelServer(saysThrough(started, ...parts))
  return { write: agentStep({ name: 'write', model, prompt: 'Write.' }), started, exchanges }
}

describe('what a model has said so far', () => {
  test('is told between the start and the end of its step, and not stored', async () => {
    const [more, over] = [createGate(), createGate()]
    const { write, started } = await writing('Once', more, ' upon', over)
    const workflow = workflowOf([write])
    const kern = await startKern(database(), [workflow])
    const told: unknown[] = []
    let runId = ''
    for await (const event of kern.stream(workflow.definition.id, {})) {
      runId = event.runId
      told.push(event.type === 'STEP_PROGRESS' ? [event.stepPath, event.data] : event.type)
      if (event.type === 'STEP_STARTED') started.open()
      if (event.data === 'Once') more.open()
      if (event.data === 'Once upon') over.open()
    }
    const progress = [
      ['write', 'Once'],
      ['write', 'Once upon'],
    ]
    expect(told).toEqual(['RUN_QUEUED', 'RUN_STARTED', 'STEP_STARTED', ...progress, 'STEP_COMPLETED', 'RUN_COMPLETED'])
    expect((await eventsOf(kern, runId)).map(({ type }) => type)).not.toContain('STEP_PROGRESS')
  })

  test('is told no more than ten times a second', async () => {
    const over = createGate()
    const pieces = Array.from({ length: 200 }, (_, index) => `${index} `)
    const { write, started } = await writing(...pieces, over)
    const clock = standing()
    const { kern, next, end, runId } = await begin(workflowOf([write]), { clock })
    const newest = () => kern.streams.partialOutput({ runId, path: 'write' })
    await next('STEP_STARTED')
    started.open()
    const { data: first } = await next('STEP_PROGRESS')
    await over.reached
    for (let turns = 0; turns < 100; turns += 1) {
      await turn()
      expect(newest()).toBe(first)
    }
    const whole = pieces.join('')
    while (newest() !== whole) {
      clock.advance(100)
      await turn()
    }
    over.open()
    expect(await end()).toMatchObject({ output: whole })
  })

  test('leaves out what is cut in the middle of a character, and keeps what was before that', async () => {
    const { write, started } = await writing('Hi ', '\ud83d', createGate())
    const { kern, runId, next, end } = await begin(workflowOf([write]))
    await next('STEP_STARTED')
    started.open()
    await next('STEP_PROGRESS', 'Hi ')
    await kern.cancelRun({ runId })
    expect((await end()).steps['write']).toMatchObject({ status: 'CANCELLED', partialOutput: 'Hi ' })
  })

  test('is kept as far as it could be stored where it grows too large', async () => {
    const { write, started } = await writing('a'.repeat(60), 'b'.repeat(60))
    const { next, end } = await begin(workflowOf([write]), { maxValueBytes: 100 })
    await next('STEP_STARTED')
    started.open()
    const run = await end()
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'VALUE_TOO_LARGE', stepPath: 'write' } })
    expect(run.steps['write']).toMatchObject({ output: undefined, partialOutput: 'a'.repeat(60) })
  })
})

describe('a call that is cut off', () => {
  test('by a cancel of its run ends at the provider, and what was said is kept', async () => {
    const { write, started, exchanges } = await writing('Once', ' upon', createGate())
    const { kern, runId, next, end } = await begin(workflowOf([write, step('never', () => 1)]))
    await next('STEP_STARTED')
    started.open()
    await next('STEP_PROGRESS', 'Once upon')
    const cancelled = await kern.cancelRun({ runId, reason: 'enough' })
    expect(cancelled).toMatchObject({ status: 'CANCELLED', output: undefined })
    const { steps, lines } = await end()
    expect(steps['write']).toMatchObject({
      status: 'CANCELLED',
      output: undefined,
      partialOutput: 'Once upon',
      error: { code: 'CANCELLED', message: expect.stringContaining('enough') },
      attempts: [{ error: { code: 'CANCELLED' } }],
    })
    expect(steps['never']).toBeUndefined()
    expect(lines.slice(-2)).toEqual(['STEP_CANCELLED write', 'RUN_CANCELLED'])
    expect(await exchanges[0]?.over).toEqual({ complete: false })
    expect(exchanges).toHaveLength(1)
  })

  test('by the failure of a sibling ends at the provider, and what was said is kept', async () => {
    const { write, started, exchanges } = await writing('Once', createGate())
    const gate = createGate()
    const fails = step('fails', async () => {
      await gate.pass()
      throw new KernError('INPUT_INVALID', 'no')
    })
    const { next, end } = await begin(workflowOf([parallel('both', [write, fails])]))
    await gate.reached
    started.open()
    await next('STEP_PROGRESS', 'Once')
    gate.open()
    const run = await end()
    expect(run).toMatchObject({ status: 'FAILED', error: { stepPath: 'both/fails' } })
    expect(run.steps['both/write']).toMatchObject({
      status: 'CANCELLED',
      partialOutput: 'Once',
      error: { message: expect.stringContaining('"both/fails"') },
    })
    expect(await exchanges[0]?.over).toEqual({ complete: false })
  })
})

const WATCHED = `subscription ($runId: ID!) {
  event: runEvents(runId: $runId) { type data step { path status partialOutput output } }
}`
const READ = 'query ($runId: ID!) { run(runId: $runId) { step(path: "write") { status partialOutput output } } }'

interface Shown {
  readonly type: string
  readonly data: unknown
  readonly step: { readonly status: string; readonly partialOutput: unknown; readonly output: unknown } | null
}

describe('over GraphQL', () => {
  test.each([
    ['WebSocket', watchWebSocket],
    ['SSE', watchSse],
  ])('what a model has said is told by a subscription over %s, and can be read', async (_name, watch) => {
    const [more, over] = [createGate(), createGate()]
    const { write, started } = await writing('Once', more, ' upon', over)
    const workflow = workflowOf([write])
    await using served = await serve(database(), { workflows: [workflow] })
    const { runWorkflow } = await data<{ runWorkflow: { run: { runId: string } } }>(
      served,
      'mutation ($id: String!) { runWorkflow(input: { workflowId: $id }) { ... on RunPayload { run { runId } } } }',
      { id: workflow.definition.id },
    )
    const variables = { runId: runWorkflow.run.runId }
    const read = async () => (await data<{ run: { step: Shown['step'] } }>(served, READ, variables)).run.step
    const told: unknown[] = []
    for await (const answer of watch<{ event: Shown }>(served, { query: WATCHED, variables })) {
      if (!answer.data) throw new Error(JSON.stringify(answer.errors))
      const { type, data: value, step: about } = answer.data.event
      if (type === 'STEP_STARTED') started.open()
      if (type !== 'STEP_PROGRESS') continue
      told.push(value)
      const running = { status: 'RUNNING', partialOutput: value, output: null }
      expect(about).toMatchObject(running)
      expect(await read()).toEqual(running)
      // Nothing of it is in the database.
      const run = await served.kern.getRun(variables.runId)
      expect(run?.steps['write']?.partialOutput).toBeUndefined()
      if (value === 'Once') more.open()
      else over.open()
    }
    expect(told).toEqual(['Once', 'Once upon'])
    expect(await read()).toEqual({ status: 'COMPLETED', partialOutput: null, output: 'Once upon' })
  })
})

describe('an async generator', () => {
  test('tells what it yields as it was then, at once and after that the newest ten times a second', async () => {
    const [start, gate] = [createGate(), createGate()]
    const counts = step('counts', async function* () {
      await start.pass()
      const list: number[] = []
      for (let n = 1; n <= 1_000; n += 1) {
        list.push(n)
        yield list
      }
      list.push(-1)
      await gate.pass()
      yield ['last']
    })
    const clock = standing()
    const { kern, runId, next, end } = await begin(workflowOf([counts]), { clock })
    await next('STEP_STARTED')
    start.open()
    await gate.reached
    const newest = () => kern.streams.partialOutput({ runId, path: 'counts' })
    expect((await next('STEP_PROGRESS')).data).toEqual([1])
    clock.advance(99)
    await turn()
    expect(newest()).toEqual([1])
    clock.advance(1)
    const thousand = Array.from({ length: 1_000 }, (_, index) => index + 1)
    expect((await next('STEP_PROGRESS')).data).toEqual(thousand)
    gate.open()
    const run = await end()
    expect(run).toMatchObject({ status: 'COMPLETED', output: ['last'] })
    expect(run.steps['counts']?.partialOutput).toBeUndefined()
    expect(newest()).toBeUndefined()
  })

  test('that is cancelled leaves the newest that it yielded, told or not', async () => {
    const waiting = Promise.withResolvers<void>()
    const counts = step('counts', async function* ({ signal }: StepContext) {
      yield 'told'
      yield 'not told'
      waiting.resolve()
      await aborted(signal)
    })
    const { kern, runId, end } = await begin(workflowOf([counts]), { clock: standing() })
    await waiting.promise
    expect(kern.streams.partialOutput({ runId, path: 'counts' })).toBe('told')
    await kern.cancelRun({ runId })
    expect((await end()).steps['counts']).toMatchObject({ status: 'CANCELLED', partialOutput: 'not told' })
  })
})
