import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { encodeEventCursor } from '../../src/engine/cursor.ts'
import { type EventRecord, isFinalEvent, type RunEventType } from '../../src/engine/records.ts'
import { newId } from '../../src/ids.ts'
import type { Kern } from '../../src/kern.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { freshPostgres, onEachDatabase } from '../support/databases.ts'
import { asStored, createGate, eventsOf, startKern } from '../support/kerns.ts'

const tick = () => new Promise<void>((resolve) => setImmediate(resolve))

const talks = (name: string) =>
  step(name, async ({ emit, log }: StepContext) => {
    emit('said', { name })
    await tick()
    log('and on')
    await tick()
    return name
  })

const talking = new Workflow({ name: 'Talking', steps: [talks('a'), talks('b'), talks('c')] })

async function collect(events: AsyncIterable<EventRecord>): Promise<EventRecord[]> {
  const all: EventRecord[] = []
  for await (const event of events) all.push(asStored(event))
  return all
}

const watch = (kern: Kern, runId: string, given: { after?: string; types?: RunEventType[] } = {}) =>
  kern.streams.run(SYSTEM_VIEWER, { runId, ...given })

/** Numbers from 0 to below `limit`, the same in each run of the tests (mulberry32). */
function seeded(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

onEachDatabase((name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('the stream of a run', () => {
    test('gives every event once and in order, whenever and from wherever somebody subscribes', async () => {
      const kern = await startKern(database, [talking])
      const next = seeded(20_241_119)
      const runs = name === 'PGlite' ? 5 : 20
      for (let round = 0; round < runs; round += 1) {
        const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'talking' })
        const subscribers = Array.from({ length: 10 }, async () => {
          for (let ticks = next(60); ticks > 0; ticks -= 1) await tick()
          const [run] = await kern.readerFor(SYSTEM_VIEWER).runs([runId])
          const seq = next((run?.lastSeq ?? 0) + 1)
          const given = seq === 0 ? {} : { after: encodeEventCursor({ runId, seq }) }
          return { seq, events: await collect(await watch(kern, runId, given)) }
        })
        const received = await Promise.all(subscribers)
        const all = await eventsOf(kern, runId)
        expect(isFinalEvent(all.at(-1)?.type ?? 'LOG')).toBe(true)
        for (const { seq, events } of received) expect(events).toEqual(all.slice(seq))
      }
    })

    test('goes on after every one of its events, also when the run is over', async () => {
      const kern = await startKern(database, [talking])
      const run = await kern.run(talking, {})
      const all = await eventsOf(kern, run.runId)
      expect(await collect(await watch(kern, run.runId))).toEqual(all)
      for (const { runId, seq } of all) {
        const after = encodeEventCursor({ runId, seq })
        expect(await collect(await watch(kern, runId, { after }))).toEqual(all.slice(seq))
      }
    })

    test('gives only the types that were asked for, and ends all the same', async () => {
      const kern = await startKern(database, [talking])
      const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'talking' })
      const live = await collect(await watch(kern, runId, { types: ['STEP_COMPLETED', 'LOG'] }))
      expect(live.map(({ type, stepPath }) => [type, stepPath])).toEqual(
        ['a', 'b', 'c'].flatMap((path) => [
          ['LOG', path],
          ['STEP_COMPLETED', path],
        ]),
      )
      expect(await collect(await watch(kern, runId, { types: ['RUN_FAILED'] }))).toEqual([])
      expect(await collect(await watch(kern, runId, { types: ['RUN_COMPLETED'] }))).toHaveLength(1)
    })

    test('is refused for a cursor that is malformed, of another run, or ahead, and for a run that is not there', async () => {
      const kern = await startKern(database, [talking])
      const [{ runId, lastSeq }, other] = [await kern.run(talking, {}), await kern.run(talking, {})]
      const wrong = [
        '',
        'no cursor',
        `${encodeEventCursor({ runId, seq: 1 })}=`,
        encodeEventCursor({ runId: other.runId, seq: 1 }),
        encodeEventCursor({ runId, seq: lastSeq + 1 }),
        encodeEventCursor({ runId, seq: -1 }),
        encodeEventCursor({ runId, seq: 2 ** 31 }),
      ]
      for (const after of wrong) {
        await expect(watch(kern, runId, { after }), after).rejects.toMatchObject({ code: 'CURSOR_INVALID' })
      }
      for (const missing of [newId(), 'no uuid', '']) {
        await expect(watch(kern, missing), missing).rejects.toMatchObject({ code: 'NOT_FOUND' })
      }
    })

    test('of the library gives the events of the run that it starts', async () => {
      const kern = await startKern(database, [talking])
      const events = await collect(kern.stream(talking, { input: 'in' }))
      const [{ runId } = { runId: '' }] = events
      expect(events).toEqual(await eventsOf(kern, runId))
      expect(await kern.getRun(runId)).toMatchObject({ status: 'COMPLETED', input: 'in' })
      const refused = kern.stream('nowhere', {})
      await expect(refused.next()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })

    test.runIf(name === 'Postgres')('follows a run that another process executes', async () => {
      const gate = createGate()
      const waits = new Workflow({
        name: 'Elsewhere',
        steps: [step('waits', () => gate.pass().then(() => 1)), talks('on')],
      })
      const [here, there] = [await startKern(database, [waits]), await startKern(database, [waits])]
      const { runId } = await there.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'elsewhere' })
      await gate.reached
      const following = collect(await watch(here, runId))
      gate.open()
      expect(await following).toEqual(await eventsOf(there, runId))
    })
  })
})

test('what an event tells is durable before it is told: another connection finds it', async () => {
  const url = await freshPostgres()
  const [database, other] = [await openDatabase(url), await openDatabase(url)]
  onTestFinished(async () => {
    await Promise.all([database.close(), other.close()])
  })
  const reader = createReaderFor(other.db)(SYSTEM_VIEWER)
  const kern = await startKern(database, [talking])
  for (let round = 0; round < 5; round += 1) {
    for await (const { runId, seq, type, stepPath } of kern.stream(talking, {})) {
      const [[run], [steps = []], events] = await Promise.all([
        reader.runs([runId]),
        reader.steps([runId]),
        reader.events(runId, { afterSeq: seq - 1, limit: 1, types: null }),
      ])
      expect(events).toMatchObject([{ seq, type }])
      const found = steps.find(({ path }) => path === stepPath)
      if (type === 'STEP_STARTED') expect(found).toBeDefined()
      if (type === 'STEP_COMPLETED') expect(found).toMatchObject({ status: 'COMPLETED', output: stepPath })
      if (type === 'RUN_COMPLETED') expect(run).toMatchObject({ status: 'COMPLETED', outputPreview: 'c' })
    }
  }
})
