import { isFinal, type RunEvent } from './events.ts'
import { createQueue, type Waiting, type Watch } from './queue.ts'
import { createSubscription, type RetryOptions } from './reconnect.ts'
import type { Transport } from './transport.ts'

export interface FollowOptions extends RetryOptions {
  /** How many events wait for the loop that takes them. */
  readonly maxBufferedEvents: number
}

/** What is followed. */
export interface Source {
  readonly query: string
  readonly variables: Readonly<Record<string, unknown>>
  readonly after: string | null
  /** Whether the final event of a run ends it, or it goes on with the next run. */
  readonly endsWithRun: boolean
  readonly signal: AbortSignal | undefined
}

/** How much text of events waits for the loop that takes them, in characters. */
const MAX_BUFFERED_TEXT = 4_194_304

/** Of how many runs it is known what they have told. */
const MAX_RUNS = 1_000

/**
 * The events from the cursor on, each once, over as many connections as it takes.
 *
 * A connection that brings more than is taken is released. The next one is made when all that waits is taken, and goes on
 * after the newest event that the last one brought: only STEP_PROGRESS may be left out by that.
 */
export function follow(transport: Transport, source: Source, options: FollowOptions): Watch<RunEvent> {
  const { signal, endsWithRun } = source
  const isNew = createMemory()
  let { after } = source
  /** How much text waits, in characters. */
  let text = 0
  let full = false

  const receive = (event: RunEvent, size: number): void => {
    if (!isNew(event)) return
    after = event.cursor
    if (event.type === 'STEP_PROGRESS') text -= dropOlder(queue.items, event)
    text += queue.push(event, size)
    if (endsWithRun && isFinal(event)) return queue.end()
    full = queue.items.length >= options.maxBufferedEvents || text > MAX_BUFFERED_TEXT
    if (full) subscription.close()
  }
  const subscription = createSubscription(
    transport,
    {
      operation: () => ({ query: source.query, variables: { ...source.variables, after } }),
      // As the document asks for it.
      next: (data, size) => receive(data?.['event'] as RunEvent, size),
      end: (error) => queue.end(error),
    },
    options,
  )
  const aborted = (): void => queue.abort(signal?.reason)
  const queue = createQueue<RunEvent>({
    start: () => {
      signal?.addEventListener('abort', aborted)
      if (signal?.aborted) aborted()
      else subscription.open()
    },
    taken: (size) => {
      text -= size
      if (!full || queue.items.length > 0) return
      full = false
      subscription.open()
    },
    stop: () => {
      full = false
      signal?.removeEventListener('abort', aborted)
      subscription.close()
    },
  })
  return queue.watch
}

/** Whether an event was not given yet. Within a run they are numbered; STEP_PROGRESS has no number of its own. */
function createMemory(): (event: RunEvent) => boolean {
  const newest = new Map<string, number>()
  return ({ type, seq, run: { runId } }) => {
    if (type === 'STEP_PROGRESS') return true
    if (seq <= (newest.get(runId) ?? 0)) return false
    // Put at the end: the run that was heard of longest ago is forgotten first.
    newest.delete(runId)
    newest.set(runId, seq)
    for (const oldest of newest.keys()) if (newest.size > MAX_RUNS) newest.delete(oldest)
    return true
  }
}

/** Of what a step has so far, only the newest counts. @returns how much text was dropped, in characters */
function dropOlder(items: Waiting<RunEvent>[], { id }: RunEvent): number {
  const place = items.findIndex(({ item }) => item.type === 'STEP_PROGRESS' && item.id === id)
  const [dropped] = place < 0 ? [] : items.splice(place, 1)
  return dropped?.size ?? 0
}
