import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { createHub } from '../../src/events/hub.ts'
import { createEventStreams } from '../../src/events/streams.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { all, type Answer, ask, data, onEachServer, type Served, type Watch, WATCHES } from '../support/server.ts'
import { createFlows } from './flows.ts'

const flows = createFlows()

interface Event {
  readonly seq: number
  readonly type: string
  readonly cursor: string
  readonly run: { readonly runId: string; readonly status: string; readonly steps: readonly Step[] }
  readonly step: Step | null
}

interface Step {
  readonly path: string
  readonly status: string
}

const EVENT = 'seq type cursor at name data run { runId status steps { path status } } step { path status }'
const RUN_EVENTS = `subscription ($runId: ID!, $after: String) { event: runEvents(runId: $runId, after: $after) { ${EVENT} } }`
const stepCompleted = (args: string) => `subscription { event: stepCompleted(${args}) { ${EVENT} } }`

type EventAnswer = Answer<{ readonly event: Event }>

/** The events that a subscription gave until it ended. */
async function eventsOf(answers: AsyncIterable<EventAnswer>): Promise<Event[]> {
  return (await all(answers)).map(eventIn)
}

/** The first events of a subscription that does not end by itself. */
async function take(answers: AsyncIterable<EventAnswer>, count: number): Promise<Event[]> {
  const events: Event[] = []
  for await (const answer of answers) {
    events.push(eventIn(answer))
    if (events.length === count) break
  }
  return events
}

function eventIn({ data: given, errors }: EventAnswer): Event {
  if (errors || !given) throw new Error(JSON.stringify(errors))
  return given.event
}

interface Started {
  readonly runId: string
  readonly lastCursor: string
  readonly session: { readonly sessionId: string }
}

async function start(served: Served, workflowId: string, more: Record<string, unknown>): Promise<Started> {
  const { runWorkflow } = await data<{ runWorkflow: { run: Started } }>(
    served,
    `mutation ($input: RunWorkflowInput!) {
       runWorkflow(input: $input) { ... on RunPayload { run { runId lastCursor session { sessionId } } } ... on Error { message } }
     }`,
    { input: { workflowId, ...more } },
  )
  return runWorkflow.run
}

const finished = (served: Served, sessionId?: string) =>
  start(served, 'pipeline', { input: { topic: 'tea' }, waitMs: 10_000, sessionId })

let names = 0

/** A run that is held at a door of its own, and has got there. */
async function startHeld(served: Served, sessionId?: string) {
  const name = `door ${++names}`
  const door = flows.door(name)
  const run = await start(served, 'held', { input: { door: name }, sessionId })
  await door.reached
  return { ...run, door }
}

function code(answers: readonly Answer[]): unknown[] {
  return answers.map(({ errors, data: given }) => [errors?.[0]?.extensions?.['code'], given ?? null])
}

onEachServer(
  () => flows,
  (served) => {
    describe.each(WATCHES)('over %s', (_name, watch: Watch) => {
      test('the events of a run are numbered without gaps, and the stream ends after the final one', async () => {
        const { runId } = await start(served(), 'pipeline', { input: { topic: 'tea' } })
        const events = await eventsOf(watch(served(), { query: RUN_EVENTS, variables: { runId } }))
        expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, index) => index + 1))
        const types = events.map(({ type }) => type)
        expect([types[0], types.at(-1)]).toEqual(['RUN_QUEUED', 'RUN_COMPLETED'])
        expect(types).toEqual(expect.arrayContaining(['RUN_STARTED', 'STATE_CHANGED', 'LOG', 'CUSTOM']))
        const completed = events.filter(({ type }) => type === 'STEP_COMPLETED')
        expect(completed.map(({ step }) => step?.path)).toEqual(['research', 'analyse', 'write'])
      })

      test('the entities of an event are as of the event, or newer', async () => {
        const { runId, door } = await startHeld(served())
        const seen: Event[] = []
        for await (const answer of watch<{ event: Event }>(served(), { query: RUN_EVENTS, variables: { runId } })) {
          const event = eventIn(answer)
          seen.push(event)
          if (event.type === 'STEP_STARTED' && event.step?.path === 'wait') {
            expect(event.run).toMatchObject({ status: 'RUNNING' })
            expect(event.run.steps).toEqual([
              { path: 'before', status: 'COMPLETED' },
              { path: 'wait', status: 'RUNNING' },
            ])
            door.open()
          }
        }
        for (const { type, step, run } of seen) {
          if (type === 'STEP_STARTED') expect(run.steps).toContainEqual(step)
          if (type === 'STEP_COMPLETED') {
            expect(step?.status).toBe('COMPLETED')
            expect(run.steps).toContainEqual(step)
          }
          if (type === 'RUN_COMPLETED') expect(run.status).toBe('COMPLETED')
        }
        expect(seen.map(({ type }) => type)).toContain('RUN_COMPLETED')
      })

      test('what came after a cursor is given, from the middle and from the newest event on', async () => {
        const { runId, door } = await startHeld(served())
        const { run } = await data<{ run: Started }>(served(), `{ run(runId: "${runId}") { lastCursor } }`)
        const live = eventsOf(watch(served(), { query: RUN_EVENTS, variables: { runId, after: run.lastCursor } }))
        door.open()
        const whole = await eventsOf(watch(served(), { query: RUN_EVENTS, variables: { runId } }))
        const place = whole.findIndex(({ cursor }) => cursor === run.lastCursor)
        expect(place).toBeGreaterThan(0)
        const seqs = (events: readonly Event[]) => events.map(({ seq }) => seq)
        expect(seqs(await live)).toEqual(seqs(whole.slice(place + 1)))
        const [, second] = whole
        const middle = await eventsOf(
          watch(served(), { query: RUN_EVENTS, variables: { runId, after: second?.cursor } }),
        )
        expect(seqs(middle)).toEqual(seqs(whole.slice(2)))
      })

      test('who comes late gets everything and the end; who has everything gets the end', async () => {
        const { runId, lastCursor } = await finished(served())
        const events = await eventsOf(watch(served(), { query: RUN_EVENTS, variables: { runId } }))
        expect(events.at(-1)).toMatchObject({ type: 'RUN_COMPLETED', cursor: lastCursor })
        const rest = watch<{ event: Event }>(served(), { query: RUN_EVENTS, variables: { runId, after: lastCursor } })
        expect(await eventsOf(rest)).toEqual([])
      })

      test('the finished steps of a run are watched by its id', async () => {
        const { runId, door } = await startHeld(served())
        const paths: unknown[] = []
        for await (const answer of watch<{ event: Event }>(served(), { query: stepCompleted(`runId: "${runId}"`) })) {
          const { type, step } = eventIn(answer)
          paths.push([type, step?.path])
          door.open()
        }
        expect(paths).toEqual(['before', 'wait', 'after'].map((path) => ['STEP_COMPLETED', path]))
      })

      test('the finished steps of a session are watched run after run, from a cursor on', async () => {
        const sessionId = `watched over ${_name}`
        const first = await finished(served(), sessionId)
        const second = await finished(served(), sessionId)
        const query = stepCompleted(`sessionId: "${sessionId}"`)
        const events = await take(watch(served(), { query }), 6)
        expect(events.map(({ run, step }) => [run.runId, step?.path])).toEqual(
          [first, second].flatMap(({ runId }) => ['research', 'analyse', 'write'].map((path) => [runId, path])),
        )
        const after = events[1]?.cursor
        const later = watch<{ event: Event }>(served(), {
          query: stepCompleted(`sessionId: "${sessionId}", after: "${after}"`),
        })
        expect(await take(later, 4)).toEqual(events.slice(2))
      })

      test('the finished steps of a workflow are watched live', async () => {
        const answers = watch<{ event: Event }>(served(), { query: stepCompleted('workflowId: "pipeline"') })
        const first = answers.next()
        // Nothing tells when the stream is open, so runs are started until one of them is seen.
        let seen = false
        void first.then(() => {
          seen = true
        })
        const runIds: string[] = []
        while (!seen) runIds.push((await finished(served())).runId)
        const { value } = await first
        const event = eventIn(value)
        expect(runIds).toContain(event.run.runId)
        expect(event.type).toBe('STEP_COMPLETED')
        // The first one may be of a run that had begun before.
        const { runId } = await finished(served())
        const paths: unknown[] = []
        while (paths.length < 3) {
          const { run, step } = eventIn((await answers.next()).value)
          if (run.runId === runId) paths.push(step?.path)
        }
        expect(paths).toEqual(['research', 'analyse', 'write'])
      })

      test.each([
        ['no cursor at all', async () => 'x'],
        ['empty text', async () => ''],
        ['the cursor of another run', async () => (await finished(served())).lastCursor],
        ['a place that the run has not reached', async (runId: string) => cursorOf(runId, 10_000)],
        ['a place that no run can reach', async (runId: string) => cursorOf(runId, 99_999_999_999)],
      ])('%s is refused as a cursor', async (_what, cursor) => {
        const { runId } = await finished(served())
        const after = await cursor(runId)
        const refused = [['CURSOR_INVALID', null]]
        expect(code(await all(watch(served(), { query: RUN_EVENTS, variables: { runId, after } })))).toEqual(refused)
        const query = stepCompleted(`runId: "${runId}", after: "${after}"`)
        expect(code(await all(watch(served(), { query })))).toEqual(refused)
      })

      test('a cursor of another session is refused', async () => {
        const [one, other] = [await finished(served()), await finished(served())]
        const query = stepCompleted(`sessionId: "${one.session.sessionId}", after: "${other.lastCursor}"`)
        expect(code(await all(watch(served(), { query })))).toEqual([['CURSOR_INVALID', null]])
      })

      test.each([
        ['runEvents of an unknown run', 'NOT_FOUND', `runEvents(runId: "${crypto.randomUUID()}")`],
        ['runEvents of a malformed id', 'NOT_FOUND', 'runEvents(runId: "x")'],
        ['stepCompleted of an unknown run', 'NOT_FOUND', `stepCompleted(runId: "${crypto.randomUUID()}")`],
        ['stepCompleted of an unknown session', 'NOT_FOUND', 'stepCompleted(sessionId: "nowhere")'],
        ['stepCompleted of an unknown workflow', 'NOT_FOUND', 'stepCompleted(workflowId: "nothing")'],
        ['stepCompleted of nothing', 'INPUT_INVALID', 'stepCompleted'],
        ['stepCompleted of two things', 'INPUT_INVALID', 'stepCompleted(sessionId: "a", workflowId: "pipeline")'],
        [
          'stepCompleted of a workflow from a cursor',
          'INPUT_INVALID',
          'stepCompleted(workflowId: "pipeline", after: "x")',
        ],
      ])('%s is refused as %s', async (_what, expected, field) => {
        const answers = await all(watch(served(), { query: `subscription { event: ${field} { seq } }` }))
        expect(code(answers)).toEqual([[expected, null]])
      })
    })

    test('every transport gives the same events of one run', async () => {
      const { runId, door } = await startHeld(served())
      const watched = WATCHES.map(([, watch]: readonly [string, Watch]) => {
        const answers = watch<{ event: Event }>(served(), { query: RUN_EVENTS, variables: { runId } })
        const waiting = Promise.withResolvers<void>()
        const events = (async () => {
          const list: Omit<Event, 'run'>[] = []
          for await (const answer of answers) {
            // The run may be newer than the event, and be so on one transport and not on another.
            const { run: _run, step, ...event } = eventIn(answer)
            list.push({ ...event, step: step && { ...step, status: '' } })
            if (event.type === 'STEP_STARTED' && step?.path === 'wait') waiting.resolve()
          }
          return list
        })()
        return { waiting: waiting.promise, events }
      })
      await Promise.all(watched.map(({ waiting }) => waiting))
      door.open()
      const [first, ...others] = await Promise.all(watched.map(({ events }) => events))
      expect(first?.at(-1)?.type).toBe('RUN_COMPLETED')
      for (const other of others) expect(other).toEqual(first)
    })

    test('the final event comes also where its type was not asked for: as the end of the stream', async () => {
      const { runId } = await start(served(), 'pipeline', { input: { topic: 'tea' } })
      const query = `subscription { event: runEvents(runId: "${runId}", types: [CUSTOM]) { ${EVENT} } }`
      const events = await eventsOf(WATCHES[0][1](served(), { query }))
      expect(events.map(({ type }) => type)).toEqual(['CUSTOM'])
    })

    test('an end that comes between two reads of a stream is not lost', async () => {
      const { runId, door } = await startHeld(served())
      const { kern } = served()
      let ended = false
      const streams = createEventStreams({
        hub: createHub(),
        clock: systemClock,
        workflows: kern.workflows,
        readerFor: (viewer) => {
          const reader = kern.readerFor(viewer)
          return {
            ...reader,
            events: async (id, query) => {
              const events = await reader.events(id, query)
              // No end was there when it was asked; before it is answered, the run comes to its end.
              if (!ended) {
                ended = true
                door.open()
                await eventsOf(WATCHES[0][1](served(), { query: RUN_EVENTS, variables: { runId } }))
              }
              return events
            },
          }
        },
      })
      const types: string[] = []
      for await (const { type } of await streams.run(SYSTEM_VIEWER, { runId })) types.push(type)
      expect(types.at(-1)).toBe('RUN_COMPLETED')
    })

    test('a failed and a cancelled run end their streams as well', async () => {
      const failed = await start(served(), 'failing', {})
      const ends = await eventsOf(WATCHES[0][1](served(), { query: RUN_EVENTS, variables: { runId: failed.runId } }))
      expect(ends.map(({ type }) => type).slice(-2)).toEqual(['STEP_FAILED', 'RUN_FAILED'])

      const { runId } = await startHeld(served())
      const cancelled = eventsOf(WATCHES[1][1](served(), { query: RUN_EVENTS, variables: { runId } }))
      await ask(served(), `mutation { cancelRun(input: { runId: "${runId}" }) { __typename } }`)
      expect((await cancelled).at(-1)).toMatchObject({ type: 'RUN_CANCELLED', run: { status: 'CANCELLED' } })
    })
  },
)

function cursorOf(runId: string, seq: number): string {
  return Buffer.from(`${runId}:${seq}`).toString('base64url')
}
