import { setTimeout as sleep } from 'node:timers/promises'
import { approval, step, Workflow } from '../../src/index.ts'
import type { Tamper } from '../../src/wiring/pace.ts'
import { now } from '../statistics.ts'
import { type Burst, type Published, TICK } from './ticks.ts'

/** Runs that publish ticks when they are told to. */
export interface Ticker {
  readonly workflow: ReturnType<typeof tickingWorkflow>
  /** Notes when ticks were committed. */
  readonly tamper: Tamper
  /** Resolves when so many runs wait for the next burst. */
  waiting(runs: number): Promise<void>
  /** All runs that wait tick, each as often as is said; resolves when the last tick is committed. */
  burst(burst: Burst): Promise<Published>
  /** Lets all runs that wait end. */
  end(): void
}

type Emit = (name: string, data: { readonly tick: number; readonly text: string }) => void

/** A run that waits for the next burst; null ends it. */
type Waiter = (next: ((emit: Emit) => Promise<void>) | null) => void

/** A workflow that waits for a person, and so has no place in any process. */
export const waitingWorkflow = new Workflow({ name: 'Waiting', steps: [approval('go on?', { prompt: 'Go on?' })] })

export function createTicker(): Ticker {
  const waiters = new Set<Waiter>()
  const emitted: number[] = []
  const committed: number[] = []
  let commits = 0
  let arrived = () => {}
  let wrote = () => {}

  function next(): Promise<Parameters<Waiter>[0]> {
    return new Promise((resolve) => {
      waiters.add(resolve)
      arrived()
    })
  }

  async function waiting(runs: number): Promise<void> {
    while (waiters.size < runs) {
      await new Promise<void>((resolve) => {
        arrived = resolve
      })
    }
  }

  function take(): readonly Waiter[] {
    const taken = [...waiters]
    waiters.clear()
    return taken
  }

  async function burst({ count, everyMs, bytes }: Burst): Promise<Published> {
    const first = emitted.length
    const text = 'x'.repeat(bytes)
    const taken = take()
    for (const [index, waiter] of taken.entries()) {
      const delay = (index * everyMs) / taken.length
      waiter(async (emit) => {
        await sleep(delay)
        for (let i = 0; i < count; i += 1) {
          emit(TICK, { tick: emitted.push(now()) - 1, text })
          await sleep(everyMs)
        }
      })
    }
    const last = first + count * taken.length
    while (commits < last) {
      await new Promise<void>((resolve) => {
        wrote = resolve
      })
    }
    await waiting(taken.length)
    const at = Float64Array.from(committed.slice(first, last))
    return { first, at, commitMs: at.map((time, index) => time - (emitted[first + index] ?? Number.NaN)) }
  }

  const tamper: Tamper = {
    journal: (journal) => ({
      ...journal,
      async write(entry) {
        const outcome = await journal.write(entry)
        const at = now()
        for (const { name, data } of entry.events) {
          // `as`: events of this name have a number, see above.
          if (name !== TICK) continue
          committed[(data as { tick: number }).tick] = at
          commits += 1
        }
        wrote()
        return outcome
      },
    }),
  }

  return {
    workflow: tickingWorkflow(next),
    tamper,
    waiting,
    burst,
    end: () => {
      for (const waiter of take()) waiter(null)
    },
  }
}

function tickingWorkflow(next: () => Promise<Parameters<Waiter>[0]>) {
  const ticks = step({
    name: 'ticks',
    run: async ({ emit }) => {
      for (let go = await next(); go !== null; go = await next()) await go(emit)
      return null
    },
  })
  return new Workflow({ name: 'Ticker', steps: [ticks] })
}
