import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, type Gate, runsOf, startKern } from '../support/kerns.ts'

type Counted = StepContext<{ n: number }, { seen?: number[] }>

/** Two steps that change the state in turn, and see whether another run of the session is between them. */
function counting(name: string) {
  const open = new Map<string, number>()
  const overlaps: string[] = []
  const enter = ({ sessionId, runId }: Counted) => {
    const now = (open.get(sessionId) ?? 0) + 1
    open.set(sessionId, now)
    if (now > 1) overlaps.push(runId)
  }
  const steps = [
    step('one', async (context: Counted) => {
      enter(context)
      const { state, setState, input } = context
      await new Promise((resolve) => setImmediate(resolve))
      setState({ seen: [...(state.seen ?? []), input.n] })
      return { n: input.n }
    }),
    step('two', async ({ state, input, sessionId, setState }: Counted) => {
      await new Promise((resolve) => setImmediate(resolve))
      setState({ seen: [...(state.seen ?? []), -input.n] })
      open.set(sessionId, (open.get(sessionId) ?? 0) - 1)
      return input.n
    }),
  ] as const
  return { workflow: new Workflow({ name, steps }), overlaps }
}

/** A workflow whose runs each wait at a gate of their own. */
function gated(name: string) {
  const gates = new Map<string, Gate>()
  const gateOf = (key: string) => {
    const gate = gates.get(key) ?? createGate()
    gates.set(key, gate)
    return gate
  }
  const waits = step('waits', async ({ input, signal }: StepContext<string>) => {
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    await Promise.race([gateOf(input).pass(), aborted])
    return input
  })
  return { workflow: new Workflow({ name, steps: [waits, step('ends', ({ input }: StepContext) => input)] }), gateOf }
}

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('runs of one session', () => {
    test('that come at once are executed one at a time, in order, and lose no change of the state', async () => {
      const { workflow, overlaps } = counting('Twenty')
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const numbers = Array.from({ length: 20 }, (_, index) => index + 1)
      const results = await Promise.all(numbers.map((n) => kern.run(workflow, { sessionId, input: { n } })))
      expect(overlaps).toEqual([])
      const runs = await runsOf(kern, sessionId)
      expect(runs.map(({ number }) => number)).toEqual(numbers)
      const byNumber = results.toSorted((a, b) => a.number - b.number)
      for (const [index, run] of byNumber.entries()) {
        expect(run).toMatchObject({ status: 'COMPLETED', stateBefore: byNumber[index - 1]?.stateAfter ?? {} })
        const next = byNumber[index + 1]
        if (next) expect(run.completedAt?.getTime()).toBeLessThanOrEqual(next.startedAt?.getTime() ?? 0)
      }
      const seen = byNumber.flatMap(({ output }) => [output, -Number(output)])
      expect(await kern.getSession({ sessionId })).toMatchObject({
        state: { seen },
        stateVersion: 40,
        runCount: 20,
        activeRunId: null,
      })
    })

    test('of fifty sessions at once are kept apart', async () => {
      const { workflow, overlaps } = counting('Fifty')
      const kern = await startKern(database, [workflow], { concurrency: 20 })
      const sessionIds = Array.from({ length: 50 }, () => newId())
      const calls = sessionIds.flatMap((sessionId) => [1, 2].map((n) => ({ sessionId, input: { n } })))
      const results = await Promise.all(calls.map((call) => kern.run(workflow, call)))
      expect(overlaps).toEqual([])
      for (const sessionId of sessionIds) {
        const own = results.filter((run) => run.sessionId === sessionId).sort((a, b) => a.number - b.number)
        expect(own.map(({ number }) => number)).toEqual([1, 2])
        const seen = own.flatMap(({ output }) => [output, -Number(output)])
        expect((await kern.getSession({ sessionId }))?.state).toEqual({ seen })
      }
    })

    test('that wait have their places, which move up', async () => {
      const { workflow, gateOf } = gated('Places')
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const start = (input: string) =>
        kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.id, sessionId, input })
      const [a, b, c] = [await start('a'), await start('b'), await start('c')]
      const places = () => kern.readerFor(SYSTEM_VIEWER).queuePositions([a.runId, b.runId, c.runId, newId(), 'no uuid'])
      await gateOf('a').reached
      expect(await places()).toEqual([null, 1, 2, null, null])
      gateOf('a').open()
      await gateOf('b').reached
      expect(await places()).toEqual([null, null, 1, null, null])
      gateOf('b').open()
      gateOf('c').open()
      await gateOf('c').reached
      expect(await places()).toEqual([null, null, null, null, null])
      expect(await kern.run(workflow, { sessionId, input: 'a' })).toMatchObject({ number: 4, status: 'COMPLETED' })
    })
  })

  describe('onBusy', () => {
    test('REJECT refuses a run while another is not over, names that one, and stores nothing', async () => {
      const { workflow, gateOf } = gated('Rejecting')
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const first = kern.run(workflow, { sessionId, input: 'a' })
      await gateOf('a').reached
      const [running] = await runsOf(kern, sessionId)
      const refusal = kern.run(workflow, { sessionId, input: 'b', onBusy: 'REJECT' })
      await expect(refusal).rejects.toMatchObject({ code: 'CONFLICT', details: { runId: running?.runId, sessionId } })
      expect(await runsOf(kern, sessionId)).toHaveLength(1)
      gateOf('a').open()
      await first
      expect(await kern.run(workflow, { sessionId, input: 'a', onBusy: 'REJECT' })).toMatchObject({ number: 2 })
    })

    test('INTERRUPT cancels the run that has its turn, and runs after it', async () => {
      const { workflow, gateOf } = gated('Interrupting')
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const first = kern.run(workflow, { sessionId, input: 'a' })
      await gateOf('a').reached
      gateOf('b').open()
      const second = await kern.run(workflow, { sessionId, input: 'b', onBusy: 'INTERRUPT' })
      expect(second).toMatchObject({ status: 'COMPLETED', number: 2, output: 'b' })
      const interrupted = await first
      expect(interrupted).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED', stepPath: 'waits' } })
      expect(interrupted.error?.message).toContain('newer run')
      expect(interrupted.completedAt?.getTime()).toBeLessThanOrEqual(second.startedAt?.getTime() ?? 0)
    })

    test('INTERRUPT that is refused, since the session is of another workflow or user, cancels nothing', async () => {
      const { workflow, gateOf } = gated('Interrupted by strangers')
      const { workflow: other } = gated('Stranger')
      const kern = await startKern(database, [workflow, other])
      const sessionId = newId()
      const running = kern.run(workflow, { sessionId, input: 'a', userId: 'ada' })
      await gateOf('a').reached
      const call = { sessionId, input: 'b', onBusy: 'INTERRUPT' } as const
      const conflict = { code: 'CONFLICT', details: { sessionId } }
      await expect(kern.run(other, { ...call, userId: 'ada' })).rejects.toMatchObject(conflict)
      await expect(kern.run(workflow, { ...call, userId: 'bob' })).rejects.toMatchObject(conflict)
      const [victim] = await runsOf(kern, sessionId)
      expect(victim).toMatchObject({ status: 'RUNNING', cancelRequestedAt: null, cancelReason: null })
      gateOf('a').open()
      expect(await running).toMatchObject({ status: 'COMPLETED', output: 'a' })
      expect(await runsOf(kern, sessionId)).toHaveLength(1)
    })

    test('INTERRUPT in an idle session is a run like any other', async () => {
      const { workflow, gateOf } = gated('Idle')
      const kern = await startKern(database, [workflow])
      gateOf('a').open()
      expect(await kern.run(workflow, { input: 'a', onBusy: 'INTERRUPT' })).toMatchObject({ status: 'COMPLETED' })
    })
  })

  test('more runs than places are all executed, whatever session they are of', async () => {
    const { workflow } = counting('Narrow')
    const kern = await startKern(database, [workflow], { concurrency: 2 })
    const runs = await Promise.all(Array.from({ length: 12 }, (_, n) => kern.run(workflow, { input: { n } })))
    expect(runs.map(({ status, output }) => [status, output])).toEqual(runs.map((_run, n) => ['COMPLETED', n]))
  })
})
