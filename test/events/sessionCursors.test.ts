import { beforeAll, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import { systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import type { LiveStream, StreamedEvent } from '../../src/engine/api.ts'
import { encodeEventCursor } from '../../src/engine/cursor.ts'
import type { ReaderFor } from '../../src/engine/reader.ts'
import { isFinal } from '../../src/engine/records.ts'
import { createRegistry } from '../../src/engine/registry.ts'
import { createHub } from '../../src/events/hub.ts'
import { createEventStreams } from '../../src/events/streams.ts'
import { newId } from '../../src/ids.ts'
import type { Kern } from '../../src/kern.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { type Chance, createChance, SEED } from '../faults/seed.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, type Gate, runsOf, startKern } from '../support/kerns.ts'
import { createParts, endOf, eventOf, still, writeOf } from '../support/parts.ts'

const lineOf = ({ spot, type }: StreamedEvent) => `${spot?.number}:${spot?.seq} ${type}`

/** What a stream has to give now. */
async function drain(stream: LiveStream<StreamedEvent>): Promise<StreamedEvent[]> {
  const all: StreamedEvent[] = []
  for (;;) {
    const next = stream.next()
    const given = await Promise.race([next, stream.caughtUp().then(() => null)])
    if (given === null) {
      await stream.return?.()
      // It may have been given something at the last moment.
      const { done, value } = await next
      return done ? all : [...all, value]
    }
    if (given.done) throw new Error('the stream of a session never ends')
    all.push(given.value)
  }
}

/** Each once, run after run, but for first events, which may come early. */
function expectExact(given: readonly StreamedEvent[], all: readonly string[]): void {
  const lines = given.map(lineOf)
  const first = (line: string) => line.endsWith(' RUN_QUEUED')
  expect(lines.filter((line) => !first(line))).toEqual(all.filter((line) => !first(line)))
  expect(lines.filter(first)).toEqual(all.filter(first))
  for (const [index, line] of lines.entries()) {
    const [number = ''] = line.split(':')
    if (line.startsWith(`${number}:2 `)) expect(lines.indexOf(`${number}:1 RUN_QUEUED`)).toBeLessThan(index)
  }
}

onEachDatabase((name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** Streams that read so few events at once, so that pages are cut everywhere. */
  function streamsOf(limit: number) {
    const readerFor: ReaderFor = (viewer) => {
      const reader = createReaderFor(database.db)(viewer)
      return {
        ...reader,
        sessionEvents: (sessionId, after, query) => reader.sessionEvents(sessionId, after, { ...query, limit }),
      }
    }
    const workflows = createRegistry([{ definition: still }])
    return createEventStreams({ hub: createHub(), readerFor, workflows, clock: systemClock })
  }

  /** A session in which nothing executes the runs: events come as the test writes them. */
  function history(chance: Chance) {
    const { start, store, journal, ownership, runOf, reader } = createParts(database)
    const sessionId = newId()
    const ids: string[] = []

    const active = async () => {
      const [session] = await reader.sessions([sessionId])
      return session?.activeRunId ? await runOf(session.activeRunId) : null
    }
    const actions = {
      async accept() {
        ids.push((await start({ sessionId })).runId)
      },
      async write() {
        const run = await active()
        if (!run) return await actions.accept()
        await ownership.claim(run.runId, ['still'], new Date())
        const owned = await runOf(run.runId)
        const events = Array.from({ length: chance.whole(1, 3) }, (_, n) => eventOf(owned, owned.lastSeq + 1 + n))
        await journal.write(writeOf(owned, { events }))
      },
      async end() {
        const run = await active()
        if (!run) return await actions.accept()
        await ownership.claim(run.runId, ['still'], new Date())
        const owned = await runOf(run.runId)
        const events = [eventOf(owned, owned.lastSeq + 1, { type: 'RUN_COMPLETED' })]
        await journal.write(writeOf(owned, { events, end: endOf(owned) }))
      },
      async cancelQueued() {
        const runs = await Promise.all(ids.map(runOf))
        const queued = runs.filter(({ status }) => status === 'QUEUED')
        if (queued.length === 0) return await actions.accept()
        await store.cancel(chance.one(queued).runId, null, new Date())
      },
    }
    return {
      sessionId,
      act: () => chance.one([actions.accept, actions.write, actions.write, actions.end, actions.cancelQueued])(),
      /** What a stream has to have given by now. */
      async due(): Promise<string[]> {
        const runs = await Promise.all(ids.map(runOf))
        const turn = (await active())?.number ?? Number.POSITIVE_INFINITY
        const events = await Promise.all(
          runs.map(async ({ runId, number }) => {
            const all = await reader.events(runId, { afterSeq: 0, limit: 1_000, types: null })
            return (number <= turn ? all : all.slice(0, 1)).map(({ seq, type }) => `${number}:${seq} ${type}`)
          }),
        )
        return events.flat()
      },
    }
  }

  test('whatever the history of a session, and however small its pages, each cursor is followed by exactly the rest', async () => {
    const chance = createChance(SEED)
    for (let round = 0; round < (name === 'PGlite' ? 3 : 6); round += 1) {
      const { sessionId, act, due } = history(chance)
      await act()
      const given: StreamedEvent[] = []
      for (let turn = 0; turn < 10; turn += 1) {
        for (let count = chance.whole(1, 3); count > 0; count -= 1) await act()
        const last = given.at(-1)
        const after = last ? encodeEventCursor(last.resume) : null
        const limit = chance.one([1, 2, 3, 200])
        given.push(...(await drain(await streamsOf(limit).session(SYSTEM_VIEWER, { sessionId, after }))))
        expectExact(given, await due())
      }
      const all = await due()
      for (const [index, { resume }] of given.entries()) {
        const after = encodeEventCursor(resume)
        const stream = await streamsOf(chance.one([1, 2, 5, 200])).session(SYSTEM_VIEWER, { sessionId, after })
        expectExact([...given.slice(0, index + 1), ...(await drain(stream))], all)
      }
    }
  })

  /** A workflow whose runs wait until they are let go on, or cancelled. */
  function waitingRuns() {
    const gates = new Map<string, Gate>()
    const gateOf = (key: string) => {
      const gate = gates.get(key) ?? createGate()
      gates.set(key, gate)
      return gate
    }
    const waits = step('waits', async ({ input, emit, signal }: StepContext<string>) => {
      emit('here')
      await Promise.race([gateOf(input).pass(), new Promise((resolve) => signal.addEventListener('abort', resolve))])
      return input
    })
    return { workflow: new Workflow({ name: 'Waiting', steps: [waits] }), gateOf }
  }

  /** Follows a session with a client that leaves again and again, and comes back with the last cursor that it was given. */
  async function hop(kern: Kern, sessionId: string, { chance, whole }: { chance: Chance; whole: () => boolean }) {
    const given: StreamedEvent[] = []
    let over = false
    while (!over) {
      const last = given.at(-1)
      const after = last ? encodeEventCursor(last.resume) : null
      const stream = await kern.streams.session(SYSTEM_VIEWER, { sessionId, after })
      for (let count = chance.whole(1, 6); count > 0; count -= 1) {
        const next = stream.next()
        const caughtUp = await Promise.race([next.then(() => false), stream.caughtUp().then(() => true)])
        if (caughtUp && whole()) {
          over = true
          break
        }
        const { value } = await next
        if (value && value.type !== 'STEP_PROGRESS') given.push(value)
      }
      await stream.return?.()
    }
    return given
  }

  test.each([true, false])(
    'clients that leave and come back have seen every event of a session once (hints: %s)',
    async (hints) => {
      const chance = createChance(SEED + 1)
      const { workflow, gateOf } = waitingRuns()
      const kern = await startKern(database, [workflow], { hints })
      const sessionId = newId()
      const started: { runId: string; input: string }[] = []
      const start = async (onBusy: 'QUEUE' | 'INTERRUPT') => {
        const input = newId()
        const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, {
          workflowId: 'waiting',
          sessionId,
          input,
          onBusy,
        })
        started.push({ runId, input })
      }
      await start('QUEUE')
      let over = false
      const whole = () => over
      const clients = Array.from({ length: 5 }, (_, n) =>
        hop(kern, sessionId, { chance: createChance(SEED + n), whole }),
      )
      for (let count = 0; count < 25; count += 1) {
        const action = chance.whole(1, 6)
        const { runId, input } = chance.one(started)
        if (action <= 3) await start(action === 3 ? 'INTERRUPT' : 'QUEUE')
        else if (action === 4) await kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
        else gateOf(input).open()
      }
      for (const { input } of started) gateOf(input).open()
      for (const { runId } of started) await kern.waitForRun(runId)
      // One more wakes everybody, also those who have seen all.
      over = true
      await start('QUEUE')
      for (const { input } of started) gateOf(input).open()
      await kern.waitForRun(started.at(-1)?.runId ?? '')
      const runs = await runsOf(kern, sessionId)
      expect(runs.every(({ status }) => isFinal(status))).toBe(true)
      const transcripts = await Promise.all(clients)
      const from = kern.readerFor(SYSTEM_VIEWER)
      const events = await Promise.all(
        runs.map(async ({ runId, number }) =>
          (await from.events(runId, { afterSeq: 0, limit: 1_000, types: null })).map(
            ({ seq, type }) => `${number}:${seq} ${type}`,
          ),
        ),
      )
      const all = events.flat()
      for (const given of transcripts) {
        const last = given.at(-1)
        const after = last ? encodeEventCursor(last.resume) : null
        const rest = await drain(await kern.streams.session(SYSTEM_VIEWER, { sessionId, after }))
        expectExact([...given, ...rest], all)
      }
    },
  )
})
