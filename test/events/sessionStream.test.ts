import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import { systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import { encodeEventCursor } from '../../src/engine/cursor.ts'
import type { EventRecord } from '../../src/engine/records.ts'
import { createHub } from '../../src/events/hub.ts'
import { createEventStreams } from '../../src/events/streams.ts'
import { newId } from '../../src/ids.ts'
import type { Kern } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { asStored, createGate, eventsOf, type Gate, runsOf, startKern } from '../support/kerns.ts'

/** Takes so many events and ends the stream. */
async function take(events: AsyncIterable<EventRecord>, count: number): Promise<EventRecord[]> {
  const taken: EventRecord[] = []
  for await (const event of events) {
    taken.push(asStored(event))
    if (taken.length === count) break
  }
  return taken
}

async function eventsOfSession(kern: Kern, sessionId: string): Promise<EventRecord[]> {
  const runs = await runsOf(kern, sessionId)
  return (await Promise.all(runs.map(({ runId }) => eventsOf(kern, runId)))).flat()
}

/** Events of a session as they may come: run after run, but for RUN_QUEUED, which may come as soon as it is there. */
function expectInOrder(received: readonly EventRecord[], all: readonly EventRecord[]): void {
  const laterFirsts = (events: readonly EventRecord[]) => events.filter(({ type }) => type === 'RUN_QUEUED')
  const others = (events: readonly EventRecord[]) => events.filter(({ type }) => type !== 'RUN_QUEUED')
  expect(laterFirsts(received)).toEqual(laterFirsts(all))
  expect(others(received)).toEqual(others(all))
  const firstAt = new Map(received.map(({ runId, seq }, index) => (seq === 1 ? [runId, index] : ['', 0])))
  for (const [index, { runId, seq }] of received.entries())
    if (seq === 2) expect(firstAt.get(runId) ?? 0).toBeLessThanOrEqual(index)
}

/** A workflow whose runs wait at the gate that their input names. */
function gated(name: string) {
  const gates: Record<string, Gate> = { a: createGate(), b: createGate(), c: createGate() }
  const waits = step('waits', async ({ input, emit, signal }: StepContext<string>) => {
    emit('before')
    await Promise.race([gates[input]?.pass(), new Promise((resolve) => signal.addEventListener('abort', resolve))])
    emit('after')
    return input
  })
  return { workflow: new Workflow({ name, steps: [waits, step('ends', () => 'end')] }), gates }
}

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('the stream of a session', () => {
    test('ends where the session is deleted, and gives nothing of one that is made in its place', async () => {
      const workflow = new Workflow({ name: 'Again', steps: [step('one', () => 1)] })
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const { runId } = await kern.run('again', { sessionId })
      const all = await eventsOf(kern, runId)
      const events = await kern.streams.session(SYSTEM_VIEWER, { sessionId })
      for (const event of all) expect(asStored((await events.next()).value ?? event)).toEqual(event)
      await kern.commands.deleteSession(SYSTEM_VIEWER, { sessionId })
      const next = events.next()
      await kern.run('again', { sessionId })
      await expect(next).rejects.toMatchObject({ code: 'NOT_FOUND', message: `session "${sessionId}" was deleted` })
      const again = await kern.streams.session(SYSTEM_VIEWER, { sessionId })
      const { value } = await again.next()
      expect(value).toMatchObject({ seq: 1, type: 'RUN_QUEUED' })
      expect(value?.runId).not.toBe(runId)
      await again.return?.()
    })

    test('gives run after run, although later ones are queued while an earlier one goes on', async () => {
      const { workflow, gates } = gated('Queue')
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const start = (input: string) =>
        kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'queue', sessionId, input })
      await start('a')
      const watching = kern.streams.session(SYSTEM_VIEWER, { sessionId })
      const received = take(await watching, 27)
      await gates.a?.reached
      // Their first events are committed between those of the first run.
      await start('b')
      await start('c')
      for (const gate of Object.values(gates)) gate.open()
      expectInOrder(await received, await eventsOfSession(kern, sessionId))
    })

    test('tells at once of a run that has to wait, and resumes after that without leaving anything out', async () => {
      const { workflow, gates } = gated('Told')
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const start = (input: string) =>
        kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'told', sessionId, input })
      const first = await start('a')
      await gates.a?.reached
      const stream = await kern.streams.session(SYSTEM_VIEWER, { sessionId })
      for (let seq = 1; seq <= 4; seq += 1) expect((await stream.next()).value).toMatchObject({ seq })
      const [second, third] = [await start('b'), await start('c')]
      for (const { runId, number } of [second, third]) {
        const { value } = await stream.next()
        expect(value).toMatchObject({ runId, type: 'RUN_QUEUED', spot: { number, seq: 1 } })
        expect(value?.resume).toEqual({ runId: first.runId, seq: 4, queued: number })
      }
      for (const gate of Object.values(gates)) gate.open()
      const rest = await take(stream, 21)
      expect(rest.map(({ type }) => type)).not.toContain('RUN_QUEUED')
      const all = await eventsOfSession(kern, sessionId)
      expect(rest).toEqual(
        all.filter(({ type, runId, seq }) => type !== 'RUN_QUEUED' && (runId !== first.runId || seq > 4)),
      )
      const after = encodeEventCursor({ runId: first.runId, seq: 4, queued: second.number })
      const resumed = await take(await kern.streams.session(SYSTEM_VIEWER, { sessionId, after }), 22)
      const [later] = resumed.filter(({ type }) => type === 'RUN_QUEUED')
      expect(later).toMatchObject({ runId: third.runId, seq: 1 })
      expect(resumed.filter(({ type }) => type !== 'RUN_QUEUED')).toEqual(rest)
      // Who follows the run alone passes over what it says of others.
      const ofRun = await take(await kern.streams.run(SYSTEM_VIEWER, { runId: first.runId, after }), 10)
      expect(ofRun).toEqual(all.filter(({ runId, seq }) => runId === first.runId && seq > 4))
    })

    test('gives the rest after the cursor of an event of a run, which says nothing of those that wait', async () => {
      const { workflow, gates } = gated('Resumed')
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const start = (input: string) =>
        kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'resumed', sessionId, input })
      const [first] = [await start('a'), await start('b')]
      await gates.a?.reached
      gates.a?.open()
      gates.b?.open()
      await kern.waitForRun(first.runId)
      const rest = await take(await kern.streams.session(SYSTEM_VIEWER, { sessionId }), 18)
      const all = await eventsOfSession(kern, sessionId)
      expectInOrder(rest, all)
      for (const [index, event] of all.entries()) {
        if (index === all.length - 1) break
        const cursor = encodeEventCursor(event)
        const resumed = await kern.streams.session(SYSTEM_VIEWER, { sessionId, after: cursor })
        expectInOrder(await take(resumed, all.length - index - 1), all.slice(index + 1))
      }
    })

    test('gives what became of a queued run that was cancelled in its place', async () => {
      const { workflow, gates } = gated('Skipped')
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const start = (input: string) =>
        kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'skipped', sessionId, input })
      const [, second] = [await start('a'), await start('b'), await start('c')]
      const received = take(await kern.streams.session(SYSTEM_VIEWER, { sessionId }), 20)
      await gates.a?.reached
      await kern.commands.cancelRun(SYSTEM_VIEWER, { runId: second.runId })
      gates.a?.open()
      gates.c?.open()
      const all = await received
      expectInOrder(all, await eventsOfSession(kern, sessionId))
      const cancelled = all.findIndex(({ type }) => type === 'RUN_CANCELLED')
      expect(all[cancelled - 1]).toMatchObject({ type: 'RUN_COMPLETED' })
    })

    test('of steps only gives them in the same order', async () => {
      const { workflow, gates } = gated('Steps only')
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const start = (input: string) =>
        kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'steps-only', sessionId, input })
      const runs = [await start('a'), await start('b'), await start('c')]
      const types = ['STEP_COMPLETED'] as const
      const received = take(await kern.streams.session(SYSTEM_VIEWER, { sessionId, types }), 6)
      for (const gate of Object.values(gates)) gate.open()
      const expected = runs.flatMap(({ runId }) => ['waits', 'ends'].map((path) => [runId, path]))
      expect((await received).map(({ runId, stepPath }) => [runId, stepPath])).toEqual(expected)
    })

    test('is refused for a cursor of another session, and for a session that is not there', async () => {
      const { workflow, gates } = gated('Foreign')
      gates.a?.open()
      const kern = await startKern(database, [workflow])
      const [one, other] = [await kern.run(workflow, { input: 'a' }), await kern.run(workflow, { input: 'a' })]
      const after = encodeEventCursor({ runId: other.runId, seq: 1 })
      const foreign = kern.streams.session(SYSTEM_VIEWER, { sessionId: one.sessionId, after })
      await expect(foreign).rejects.toMatchObject({ code: 'CURSOR_INVALID' })
      // Ahead of the database, in one or the other of its places, or never given by anything.
      for (const wrong of [{ seq: 10 }, { seq: 9, queued: 2 }, { seq: 9, queued: 1 }, { seq: 9, queued: 0 }]) {
        const ahead = encodeEventCursor({ runId: one.runId, ...wrong })
        const watching = kern.streams.session(SYSTEM_VIEWER, { sessionId: one.sessionId, after: ahead })
        await expect(watching, JSON.stringify(wrong)).rejects.toMatchObject({ code: 'CURSOR_INVALID' })
      }
      const gone = encodeEventCursor({ runId: newId(), seq: 1, queued: 2 })
      const expired = kern.streams.session(SYSTEM_VIEWER, { sessionId: one.sessionId, after: gone })
      await expect(expired).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' })
      const missing = kern.streams.session(SYSTEM_VIEWER, { sessionId: 'nowhere' })
      await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })
  })

  describe('the stream of a workflow', () => {
    test('gives the events of all runs from now on, each once and in the order of its run', async () => {
      const { workflow, gates } = gated('Watched')
      const kern = await startKern(database, [workflow])
      gates.b?.open()
      await kern.run(workflow, { input: 'b' })
      const running = kern.run(workflow, { input: 'a' })
      await gates.a?.reached
      const [old] = await kern.readerFor(SYSTEM_VIEWER).liveRuns({ workflowId: 'watched' }, new Date())
      // Up to what its body has said so far.
      const before = await take(await kern.streams.run(SYSTEM_VIEWER, { runId: old?.runId ?? '' }), 4)
      const received = kern.streams.workflow(SYSTEM_VIEWER, { workflowId: 'watched' })
      const taking = take(await received, 9 * 5 + 9 - before.length)
      gates.a?.open()
      const runs = [
        await running,
        ...(await Promise.all(Array.from({ length: 5 }, () => kern.run(workflow, { input: 'b' })))),
      ]
      const byRun = Map.groupBy(await taking, ({ runId }) => runId)
      expect(new Set(byRun.keys())).toEqual(new Set(runs.map(({ runId }) => runId)))
      for (const { runId } of runs) {
        const seen = runId === old?.runId ? before.length : 0
        expect(byRun.get(runId)).toEqual((await eventsOf(kern, runId)).slice(seen))
      }
    })

    test('misses no end of a run, although the clock of this process is ahead of the other one’s', async () => {
      const { workflow, gates } = gated('Ahead')
      const kern = await startKern(database, [workflow])
      const running = kern.run(workflow, { input: 'a' })
      await gates.a?.reached
      const clock = { ...systemClock, now: () => new Date(Date.now() + 5_000) }
      const streams = createEventStreams({
        hub: createHub(),
        clock,
        workflows: kern.workflows,
        readerFor: kern.readerFor,
      })
      const types = ['RUN_COMPLETED'] as const
      const received = take(await streams.workflow(SYSTEM_VIEWER, { workflowId: 'ahead', types }), 1)
      gates.a?.open()
      const { runId } = await running
      expect(await received).toMatchObject([{ runId, type: 'RUN_COMPLETED' }])
    })

    test('is refused for a workflow that is not served', async () => {
      const kern = await startKern(database, [])
      const missing = kern.streams.workflow(SYSTEM_VIEWER, { workflowId: 'nowhere' })
      await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })
  })
})
