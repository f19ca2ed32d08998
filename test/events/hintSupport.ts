import { type Clock, systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import type { Hint, Hints } from '../../src/engine/hints.ts'
import type { EventRecord } from '../../src/engine/records.ts'
import type { Kern } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { Tamper } from '../../src/wiring/pace.ts'
import type { HasDefinition } from '../../src/workflow/definition.ts'
import { asStored, createTestClock, type KernSettings, startKern } from '../support/kerns.ts'

const NEVER_MS = 3_600_000
/** How often rows and jobs are looked at although nobody told of anything. */
const LOOKS_MS: readonly number[] = [500, 1_000]

/** A Kern in which nothing looks at rows by itself: what it learns of other processes, it learns by hints. */
export function unpolled(): KernSettings {
  const clock = createTestClock(systemClock, { hold: (ms) => LOOKS_MS.includes(ms) })
  const idle: Clock['idle'] = (ms, signal) => systemClock.idle(LOOKS_MS.includes(ms) ? NEVER_MS : ms, signal)
  return { clock: { ...clock, idle }, pollMs: NEVER_MS, graceMs: 5_000 }
}

/** A Kern of which is known what it told and was told. */
export interface HintedKern extends Kern {
  /** What other processes told this one, from the first on. */
  readonly heard: readonly Hint[]
  /** What this one told others. */
  readonly told: readonly Hint[]
}

export type Wrap = (hints: Hints) => Hints

/** Starts a Kern, and resolves when it is told of what others do, unless its hints are off. */
export async function startHinted(
  database: Database,
  workflows: readonly HasDefinition[],
  { wrap = (hints) => hints, ...settings }: KernSettings & { readonly wrap?: Wrap } = {},
): Promise<HintedKern> {
  const heard: Hint[] = []
  const told: Hint[] = []
  const ready = Promise.withResolvers<void>()
  const watched = (hints: Hints): Hints => ({
    tell(hint) {
      told.push(hint)
      hints.tell(hint)
    },
    listen: (take) => hints.listen(take),
  })
  const tamper: Tamper = {
    ...settings.tamper,
    hints(carrier: Hints): Hints {
      carrier.listen((hint) => {
        heard.push(hint)
        if (hint.type === 'missed') ready.resolve()
      })
      return watched(wrap(carrier))
    },
  }
  const kern = await startKern(database, workflows, { ...settings, tamper })
  if (settings.hints ?? true) await ready.promise
  return { ...kern, heard, told }
}

/** Each hint twice. */
export const doubled: Wrap = (hints) => ({
  tell(hint) {
    hints.tell(hint)
    hints.tell(hint)
  },
  listen: (take) =>
    hints.listen((hint) => {
      take(hint)
      take(hint)
    }),
})

/** What comes at once comes late, and the other way round. */
export const reordered: Wrap = (hints) => ({
  tell: (hint) => hints.tell(hint),
  listen(take) {
    let late: Hint[] = []
    return hints.listen((hint) => {
      if (late.length === 0) {
        setTimeout(() => {
          const now = late.reverse()
          late = []
          for (const each of now) take(each)
        }, 20)
      }
      late.push(hint)
    })
  },
})

/** Every second hint is lost, beginning with the first. */
export const lossy: Wrap = (hints) => {
  let count = 0
  return { ...hints, tell: (hint) => (count++ % 2 === 0 ? undefined : hints.tell(hint)) }
}

/** Follows a run, and gives its events as they come. */
export async function watch(kern: Kern, runId: string): Promise<AsyncIterableIterator<EventRecord>> {
  return await kern.streams.run(SYSTEM_VIEWER, { runId })
}

/** Reads events until one is of this type and step. */
export async function until(
  events: AsyncIterator<EventRecord>,
  type: EventRecord['type'],
  path?: string,
): Promise<EventRecord[]> {
  const all: EventRecord[] = []
  for (;;) {
    const { value, done } = await events.next()
    if (done) throw new Error(`the stream ended before ${type} ${path ?? ''}`)
    all.push(asStored(value))
    if (value.type === type && (path === undefined || value.stepPath === path)) return all
  }
}
