import { setImmediate as nextTurn } from 'node:timers/promises'
import { Workflow } from '../../src/author.ts'
import { systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import { encodeEventCursor } from '../../src/engine/cursor.ts'
import type { EventRecord } from '../../src/engine/records.ts'
import { newId } from '../../src/ids.ts'
import type { Kern } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { Tamper } from '../../src/wiring/pace.ts'
import { step } from '../../src/workflow/step.ts'
import { startHinted, unpolled } from '../events/hintSupport.ts'
import type { Chance } from '../faults/seed.ts'
import { createGate, type Gate, type KernSettings } from '../support/kerns.ts'

/** What happens to an event on its way. Somebody subscribes somewhere between two of them. */
const ANCHORS = ['said', 'writing', 'written', 'publishing', 'published'] as const
type Anchor = (typeof ANCHORS)[number]

/** When somebody subscribes: so many turns of the event loop, and then so many microtasks, after the anchor. */
interface Moment extends Pause {
  readonly anchor: Anchor
}

interface Pause {
  readonly turns: number
  readonly ticks: number
}

export interface Rounds {
  /** How many events are committed in a run while somebody subscribes. */
  readonly events: number
  readonly runs: number
  /** How many subscribe around each of these events. */
  readonly each: number
  readonly chance: Chance
}

interface Stage {
  readonly workflow: Workflow
  readonly tamper: Tamper
  /** Makes ready for the next run. */
  begin(): void
  /** Lets the body say the next thing. */
  say(): void
  /** Calls `at` whenever the event that is being said comes to an anchor. */
  watch(at: (anchor: Anchor) => void): void
}

/** A workflow whose runs say something whenever they are told to, and a view of each of these events on its way. */
function createStage(events: number): Stage {
  let gates: Gate[] = []
  let said = 0
  let at: (anchor: Anchor) => void = () => undefined
  const speaks = step('speaks', async ({ emit }) => {
    for (let count = 1; count <= events; count += 1) {
      await gates[count - 1]?.pass()
      at('said')
      emit('said', { count })
    }
  })
  const tamper: Tamper = {
    journal: (journal) => ({
      ...journal,
      async write(entry) {
        at('writing')
        const outcome = await journal.write(entry)
        at('written')
        return outcome
      },
    }),
    hub: (hub) => ({
      ...hub,
      publish(...change) {
        at('publishing')
        hub.publish(...change)
        at('published')
      },
    }),
  }
  return {
    workflow: new Workflow({ name: `Speaks ${newId()}`, steps: [speaks] }),
    tamper,
    begin() {
      gates = Array.from({ length: events }, createGate)
      said = 0
    },
    say: () => gates[said++]?.open(),
    watch(next) {
      at = next
    },
  }
}

/** Where runs are executed, and where somebody subscribes. */
export interface Places {
  readonly here: Kern
  readonly there: Kern
  readonly stage: Stage
}

/** One Kern that executes and is subscribed to. Nobody looks at rows without having been told. */
export async function onePlace(database: Database, events: number): Promise<Places> {
  const stage = createStage(events)
  const settings = { ...unpolled(), tamper: stage.tamper, hints: false }
  const here = await startHinted(database, [stage.workflow], settings)
  return { here, there: here, stage }
}

/** One that executes and one that is subscribed to, which hears of the other by hints only, or by looking only. */
export async function twoPlaces(
  database: Database,
  { events, hints }: { readonly events: number; readonly hints: boolean },
): Promise<Places> {
  const stage = createStage(events)
  const quiet: KernSettings = hints ? unpolled() : {}
  const here = await startHinted(database, [stage.workflow], { ...quiet, hints, tamper: stage.tamper })
  const there = await startHinted(database, [stage.workflow], { ...quiet, hints, concurrency: 0 })
  return { here, there, stage }
}

/** Subscribes at the moments of commits, and resolves when all were given what they are owed. @returns how often */
export async function subscribeAround(places: Places, rounds: Rounds): Promise<number> {
  let count = 0
  // In every second run nobody stays: what is kept for those who follow it goes and comes again.
  for (let run = 0; run < rounds.runs; run += 1) count += await oneRun(places, rounds, run % 2 === 1)
  return count
}

async function oneRun(places: Places, { events, each, chance }: Rounds, alone: boolean): Promise<number> {
  const { here, there, stage } = places
  stage.begin()
  const { runId, sessionId } = await here.commands.runWorkflow(SYSTEM_VIEWER, {
    workflowId: stage.workflow.definition.id,
  })
  const first = await open(there, { runId, after: 0, eager: false })
  // What comes before the first of the body's own: queued, started, and the start of the step.
  await catchUp(first, { runId, seq: 3 })
  let standing: Subscriber[] = [first]
  let count = 0
  const left: Promise<void>[] = []
  for (let seq = 4; seq < 4 + events; seq += 1) {
    const joining = Array.from({ length: each }, () => {
      const { moment, back, ofSession, eager } = planOf(chance)
      const after = Math.max(0, seq - 1 - back)
      return { moment, begin: () => open(there, { runId, after, eager, ...(ofSession ? { sessionId } : {}) }) }
    })
    const joined = meet(stage, joining)
    stage.say()
    const all = [...standing, ...(await unhung(joined, `who subscribes around event ${seq}`))]
    await Promise.all(all.map((one) => catchUp(one, { runId, seq })))
    count += joining.length
    standing = all.filter(() => !alone && chance.whole(1, 8) === 1)
    // They go while others come.
    const leaving = all.filter((one) => !standing.includes(one))
    left.push(...leaving.map((one) => passTime({ turns: chance.whole(0, 4), ticks: 0 }).then(() => leave(one))))
  }
  await Promise.all(standing.map((one) => catchUpToEnd(one, { runId, seq: 5 + events })))
  await Promise.all(left)
  return count
}

/** @param seq of the end of the run */
async function catchUpToEnd(
  one: Subscriber,
  { runId, seq }: { readonly runId: string; readonly seq: number },
): Promise<void> {
  await catchUp(one, { runId, seq })
  if (!one.ofRun) return await leave(one)
  const { done } = await one.events.next()
  if (!done) throw new Error('a stream goes on after the end of its run')
}

interface Plan {
  readonly moment: Moment
  /** How many events before the newest one it begins. */
  readonly back: number
  readonly ofSession: boolean
  /** Whether it asks for its first event at once. */
  readonly eager: boolean
}

function planOf(chance: Chance): Plan {
  const turns = chance.whole(1, 2) === 1 ? 0 : chance.whole(1, 6)
  const moment = { anchor: chance.one(ANCHORS), turns, ticks: chance.whole(0, 30) }
  const back = chance.whole(1, 20) === 1 ? chance.whole(0, 400) : chance.whole(0, 3)
  return { moment, back, ofSession: chance.whole(1, 3) === 1, eager: chance.whole(1, 2) === 1 }
}

interface Joining {
  readonly moment: Moment
  begin(): Promise<Subscriber>
}

/** Lets each begin at its moment of the event that comes next. */
function meet(stage: Stage, joining: readonly Joining[]): Promise<Subscriber[]> {
  const begun: Promise<Subscriber>[] = []
  const all = Promise.withResolvers<Subscriber[]>()
  const left = new Set(joining)
  stage.watch((anchor) => {
    for (const one of left) {
      if (one.moment.anchor !== anchor) continue
      left.delete(one)
      begun.push(passTime(one.moment).then(one.begin))
    }
    if (left.size === 0) all.resolve(Promise.all(begun))
  })
  return all.promise
}

async function passTime({ turns, ticks }: Pause): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await nextTurn()
  for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve()
}

interface Subscriber {
  readonly events: AsyncIterator<EventRecord>
  readonly ofRun: boolean
  /** The newest event that it was given, or began after. */
  last: number
  /** What it has asked for already. */
  asked: Promise<IteratorResult<EventRecord>> | null
}

async function leave({ events }: Subscriber): Promise<void> {
  await events.return?.()
}

interface Opening {
  readonly runId: string
  /** Null: of the run. */
  readonly sessionId?: string
  readonly after: number
  readonly eager: boolean
}

async function open(kern: Kern, { runId, sessionId, after: seq, eager }: Opening): Promise<Subscriber> {
  const after = seq === 0 ? null : encodeEventCursor({ runId, seq })
  const events =
    sessionId === undefined
      ? await kern.streams.run(SYSTEM_VIEWER, { runId, after })
      : await kern.streams.session(SYSTEM_VIEWER, { sessionId, after })
  return { events, ofRun: sessionId === undefined, last: seq, asked: eager ? events.next() : null }
}

/** Reads on, up to an event that is committed: each of those in between has to come once, in order. */
async function catchUp(
  one: Subscriber,
  { runId, seq }: { readonly runId: string; readonly seq: number },
): Promise<void> {
  while (one.last < seq) {
    await expectNext(one, { runId, seq: one.last + 1 })
  }
}

async function expectNext(
  one: Subscriber,
  { runId, seq }: { readonly runId: string; readonly seq: number },
): Promise<void> {
  const { value } = await unhung(one.asked ?? one.events.next(), `a stream that waits for event ${seq}`)
  one.asked = null
  if (value?.runId !== runId || value.seq !== seq) {
    throw new Error(`after ${one.last} came ${value?.seq}, not ${seq}`)
  }
  one.last = seq
}

/** How long to wait for what does not come, in milliseconds: much longer than it takes. */
const HANGS_MS = 30_000

/** Fails where something hangs: nobody would know what. */
async function unhung<T>(work: Promise<T>, what: string): Promise<T> {
  const over = new AbortController()
  const hanging = systemClock.idle(HANGS_MS, over.signal).then(
    () => Promise.reject(new Error(`${what} hangs`)),
    () => new Promise<never>(() => undefined),
  )
  try {
    return await Promise.race([work, hanging])
  } finally {
    over.abort()
  }
}
