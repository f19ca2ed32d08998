import { describe, expect, test } from 'vitest'
import { ask, data, onEachServer } from '../support/server.ts'
import { createFlows } from './flows.ts'
import { mutate, startHeld, unique } from './mutate.ts'

const flows = createFlows()

onEachServer(
  () => flows,
  (served) => {
    const run = (input: Record<string, unknown>) => mutate(served(), 'runWorkflow', input)
    const tea = { workflowId: 'pipeline', input: { topic: 'tea' } }

    describe('runWorkflow', () => {
      test('answers at once, or with the end of the run where it was told to wait', async () => {
        const { run: accepted } = await run(tea)
        expect(accepted).toMatchObject({ status: expect.stringMatching(/^(QUEUED|RUNNING)$/), number: 1 })
        const { run: waited } = await run({ ...tea, waitMs: 10_000 })
        expect(waited).toMatchObject({ status: 'COMPLETED', output: 'Read about tea', session: { state: { seen: 1 } } })
      })

      test('answers with the run as it is when the time to wait is over', async () => {
        const name = unique('door')
        const result = await run({ workflowId: 'held', input: { door: name }, waitMs: 1 })
        expect(['QUEUED', 'RUNNING']).toContain(result.run['status'])
        flows.door(name).open()
      })

      test('makes the session with what is given, and keeps what belongs to the run', async () => {
        const sessionId = unique('session')
        const more = {
          userId: 'ann',
          sessionName: ' Mine ',
          sessionState: { a: { b: 1 } },
          metadata: [null, 1.5],
          tags: ['x'],
        }
        const { run: made } = await run({ ...tea, ...more, sessionId, waitMs: 10_000 })
        expect(made).toMatchObject({
          tags: ['x'],
          metadata: [null, 1.5],
          session: { sessionId, name: 'Mine', nameSource: 'MANUAL', userId: 'ann', state: { a: { b: 1 }, seen: 1 } },
        })
      })

      test('answers a repeated idempotency key with the same run, and with a conflict where the request differs', async () => {
        const idempotencyKey = unique('key')
        const first = await run({ ...tea, idempotencyKey })
        const again = await run({ ...tea, idempotencyKey, waitMs: 10_000 })
        expect(again.run).toMatchObject({ runId: first.run.runId, status: 'COMPLETED' })
        for (const other of [{ input: { topic: 'coffee' } }, { sessionId: unique('session') }]) {
          const refused = await run({ ...tea, idempotencyKey, ...other })
          expect(refused).toMatchObject({ __typename: 'ConflictError', code: 'CONFLICT' })
          expect(refused.busyWith?.runId).toBe(first.run.runId)
        }
      })

      test('queues behind the run that is not over, with its place, and runs when it has its turn', async () => {
        const sessionId = unique('session')
        const { door, runId } = await startHeld(served(), flows, { sessionId })
        const waiting = [unique('door'), unique('door')]
        for (const [index, name] of waiting.entries()) {
          flows.door(name).open()
          const queued = await run({ workflowId: 'held', input: { door: name }, sessionId })
          expect(queued.run).toMatchObject({ status: 'QUEUED', queuePosition: index + 1, number: index + 2 })
        }
        const last = run({ workflowId: 'held', input: { door: waiting[0] }, sessionId, waitMs: 10_000 })
        door.open()
        expect((await last).run).toMatchObject({ status: 'COMPLETED', queuePosition: null, number: 4 })
        const { run: first } = await data<{ run: unknown }>(served(), `{ run(runId: "${runId}") { status } }`)
        expect(first).toEqual({ status: 'COMPLETED' })
      })

      test('refuses a busy session with the run that is in the way, if told to', async () => {
        const sessionId = unique('session')
        const { door, runId } = await startHeld(served(), flows, { sessionId })
        const refused = await run({ workflowId: 'held', input: { door: 'x' }, sessionId, onBusy: 'REJECT' })
        expect(refused).toMatchObject({
          __typename: 'ConflictError',
          busyWith: { runId, status: 'RUNNING' },
          inTheWay: { sessionId },
        })
        door.open()
      })

      test('cancels the run that is in the way, if told to', async () => {
        const sessionId = unique('session')
        const { runId } = await startHeld(served(), flows, { sessionId })
        const name = unique('door')
        flows.door(name).open()
        const second = { workflowId: 'held', input: { door: name }, sessionId, onBusy: 'INTERRUPT', waitMs: 10_000 }
        expect((await run(second)).run).toMatchObject({ status: 'COMPLETED', number: 2 })
        const { run: first } = await data<{ run: unknown }>(served(), `{ run(runId: "${runId}") { status } }`)
        expect(first).toEqual({ status: 'CANCELLED' })
      })

      test('refuses a session of another workflow', async () => {
        const { run: first } = await run({ ...tea, waitMs: 10_000 })
        const { sessionId } = first.session
        const refused = await run({ workflowId: 'echo', sessionId })
        expect(refused).toMatchObject({ __typename: 'ConflictError', busyWith: null, inTheWay: { sessionId } })
      })

      test('refuses an unknown workflow, and an input that does not fit, with each fault', async () => {
        expect(await run({ workflowId: 'nothing' })).toMatchObject({ __typename: 'NotFoundError', code: 'NOT_FOUND' })
        const refused = await run({ workflowId: 'pipeline', input: { topic: 5 } })
        expect(refused).toMatchObject({ __typename: 'InputInvalidError', issues: [{ path: ['input', 'topic'] }] })
      })

      test('gives back a value of exactly 1 MiB, one of 64 levels, and each kind of value, as it was', async () => {
        const deep = JSON.parse(`${'['.repeat(64)}${']'.repeat(64)}`)
        const values = [
          { a: 'x'.repeat(1_048_576 - 8) },
          deep,
          null,
          '',
          0,
          -1.5e-7,
          false,
          [],
          {},
          { '': [{ é: '🫖' }] },
        ]
        for (const input of values) {
          const { run: echoed } = await run({ workflowId: 'echo', input, waitMs: 10_000 })
          expect(echoed['status']).toBe('COMPLETED')
          expect(echoed['output']).toEqual(input)
        }
      })

      test('answers with the error of a run that fails', async () => {
        const { run: failed } = await run({ workflowId: 'failing', waitMs: 10_000 })
        expect(failed).toMatchObject({ status: 'FAILED', error: { message: 'it broke' } })
      })

      test('answers with an edge whose cursor stands in the default order of runs', async () => {
        const { edge, run: made } = await run({ ...tea, waitMs: 10_000 })
        await run({ ...tea, waitMs: 10_000 })
        const before = await data<{ runs: { nodes: { runId: string }[] } }>(
          served(),
          `{ runs(last: 1, before: "${edge.cursor}") { nodes { runId } } }`,
        )
        expect(before.runs.nodes).toHaveLength(1)
        expect(before.runs.nodes[0]?.runId).not.toBe(made.runId)
      })
    })

    describe('cancelRun', () => {
      const cancel = (input: Record<string, unknown>) => mutate(served(), 'cancelRun', input)

      test('ends a run that is under way, with the reason, and its finished steps stay', async () => {
        const { runId } = await startHeld(served(), flows)
        const { run: cancelled } = await cancel({ runId, reason: 'changed my mind' })
        expect(cancelled).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED' } })
        expect(Object(cancelled['error']).message).toContain('changed my mind')
        const { run: read } = await data<{ run: unknown }>(
          served(),
          `{ run(runId: "${runId}") { steps { path status } } }`,
        )
        expect(read).toEqual({
          steps: [
            { path: 'before', status: 'COMPLETED' },
            { path: 'wait', status: 'CANCELLED' },
          ],
        })
      })

      test('ends a queued run', async () => {
        const sessionId = unique('session')
        const { door } = await startHeld(served(), flows, { sessionId })
        const queued = await run({ workflowId: 'held', input: { door: unique('door') }, sessionId })
        expect((await cancel({ runId: queued.run.runId })).run).toMatchObject({
          status: 'CANCELLED',
          queuePosition: null,
        })
        door.open()
      })

      test('answers with the run as it is where it was over before', async () => {
        const { run: over } = await run({ ...tea, waitMs: 10_000 })
        expect((await cancel({ runId: over.runId })).run).toMatchObject({
          status: 'COMPLETED',
          output: 'Read about tea',
        })
      })

      test('refuses an unknown run and a malformed id', async () => {
        expect(await cancel({ runId: crypto.randomUUID() })).toMatchObject({ __typename: 'NotFoundError' })
        expect(await cancel({ runId: 'x' })).toMatchObject({
          __typename: 'InputInvalidError',
          issues: [{ path: ['runId'] }],
        })
      })
    })

    test('the next run is given what historyContext shows', async () => {
      const sessionId = unique('session')
      const context = async (args = '') => {
        const query = `query ($id: String!) { session(sessionId: $id) { historyContext${args} } }`
        return (await data<{ session: { historyContext: string | null } }>(served(), query, { id: sessionId })).session
          .historyContext
      }
      await mutate(served(), 'createSession', { workflowId: 'pipeline', sessionId })
      expect(await context()).toBeNull()
      for (const topic of ['tea', '<b>']) await run({ ...tea, input: { topic }, sessionId, waitMs: 10_000 })
      expect(await context('(numRuns: 1)')).toBe(
        '<workflow_history_context>\n[Workflow Run-1]\nUser input: {"topic":"&lt;b&gt;"}\n' +
          'Workflow output: Read about &lt;b&gt;\n</workflow_history_context>\n',
      )
      expect((await context())?.match(/\[Workflow Run-\d\]/g)).toEqual(['[Workflow Run-1]', '[Workflow Run-2]'])
      const { errors } = await ask(
        served(),
        `{ session(sessionId: ${JSON.stringify(sessionId)}) { historyContext(numRuns: 0) } }`,
      )
      expect(errors?.[0]?.extensions?.['code']).toBe('INPUT_INVALID')
      const third = await run({ ...tea, sessionId, waitMs: 10_000 })
      const { run: read } = await data<{ run: { historyRuns: unknown[] } }>(
        served(),
        `{ run(runId: "${third.run.runId}") { historyRuns { number } steps { historyUsed } } }`,
      )
      expect(read.historyRuns).toEqual([{ number: 1 }, { number: 2 }])
    })
  },
)
