import { setTimeout as delay } from 'node:timers/promises'
import type { RunWrite } from '../../src/engine/ports.ts'
import type { Tamper } from '../../src/wiring/pace.ts'

/** The moments at which a fault can strike. `during`: the statement is on its way. */
export const POINTS = [
  'accept.before',
  'accept.during',
  'accept.after',
  'claim.after',
  'body',
  'commit.before',
  'commit.during',
  'commit.after',
  'announce.before',
  'end.before',
  'end.during',
  'end.after',
] as const
export type Point = (typeof POINTS)[number]

/** What happens when a point is reached for the `nth` time. */
export interface Fault {
  readonly point: Point
  /** From 1. */
  readonly nth: number
  readonly action: 'kill' | 'stop' | 'exit' | 'throw' | 'delay'
  /** How long a delay is, or how long after the moment a `during` strikes, in milliseconds. @default 0 */
  readonly ms?: number
}

/** Says that a point is reached. */
export type Reach = (point: Point) => Promise<void>

export function createReach(faults: readonly Fault[]): Reach {
  const counts = new Map<Point, number>()
  return async (point) => {
    const count = (counts.get(point) ?? 0) + 1
    counts.set(point, count)
    for (const fault of faults) if (fault.point === point && fault.nth === count) await strike(fault)
  }
}

async function strike({ point, nth, action, ms = 0 }: Fault): Promise<void> {
  if (point.endsWith('.during')) await delay(ms)
  switch (action) {
    case 'kill':
      return void process.kill(process.pid, 'SIGKILL')
    case 'stop':
      return void process.kill(process.pid, 'SIGSTOP')
    case 'exit':
      return process.exit(7)
    case 'throw':
      throw new Error(`${point} failed for the ${nth}. time, as it was to`)
    case 'delay':
      return await delay(ms)
  }
}

/** Puts the points into the parts of a Kern. */
export function faulty(reach: Reach): Tamper {
  const around = async <T>(name: 'accept' | 'commit' | 'end', work: () => Promise<T>): Promise<T> => {
    await reach(`${name}.before`)
    const result = work()
    // What it throws is for whoever awaits the result below.
    result.catch(() => undefined)
    await reach(`${name}.during`)
    const done = await result
    await reach(`${name}.after`)
    return done
  }
  return {
    store: (store) => ({ ...store, accept: (run) => around('accept', () => store.accept(run)) }),
    journal: (journal) => ({
      ...journal,
      write(entry) {
        const name = nameOf(entry)
        return name ? around(name, () => journal.write(entry)) : journal.write(entry)
      },
      accept: (run, owner) => around('accept', () => journal.accept(run, owner)),
    }),
    ownership: (ownership) => ({
      ...ownership,
      async claim(...given) {
        const claimed = await ownership.claim(...given)
        if (claimed) await reach('claim.after')
        return claimed
      },
    }),
    hub: (hub) => ({
      ...hub,
      publish(change) {
        // A fault that takes time would let the caller go on; the others have struck when this returns.
        void reach('announce.before')
        hub.publish(change)
      },
    }),
  }
}

/** Which of the points a write passes: those with a result, and the one with the end. */
function nameOf({ end, steps }: RunWrite): 'commit' | 'end' | null {
  if (end) return 'end'
  return steps.some(({ kind, completedAt }) => kind === 'step' && completedAt !== null) ? 'commit' : null
}
