import type { LiveStream, RunSetChange } from '../engine/api.ts'
import { createAlarm } from './alarm.ts'
import type { Feed } from './feed.ts'
import { liveStream } from './liveStream.ts'
import { createRunSetReader, type RunSetReaderOptions } from './runSetReader.ts'

export interface RunSetOptions extends Omit<RunSetReaderOptions, 'share'> {
  readonly feed: Feed
  /** Ends the stream with its reason. */
  readonly closing?: AbortSignal | undefined
}

/** What changes in a set in which nothing can ever be: it reads nothing, and ends only when it is ended. */
export function emptyRunSet({ closing }: Pick<RunSetOptions, 'closing'>): LiveStream<RunSetChange> {
  return liveStream<RunSetChange>({
    closing,
    place: () => null,
    open(signal) {
      const { answered, wait } = createAlarm(signal)
      return { step: async () => (answered() ? 'again' : 'idle'), wait, release: () => undefined }
    },
  })
}

/** Which runs a filter finds, as that changes from now on. */
export async function runSet({ feed, closing, ...options }: RunSetOptions): Promise<LiveStream<RunSetChange>> {
  const { clock } = options
  const set = createRunSetReader({ ...options, share: feed.share })
  let wake: () => void = () => undefined
  // It listens before it reads what there is.
  const unfollow = feed.follow((runId) => {
    set.hear(runId)
    wake()
  })
  try {
    await set.begin()
  } catch (error) {
    unfollow()
    throw error
  }
  return liveStream<RunSetChange>({
    closing,
    place: () => null,
    open(signal) {
      const alarm = createAlarm(signal)
      wake = alarm.stir
      let timer = false

      /** There is something to tell again of a run that was told of a moment ago. */
      function wakeIn(ms: number): void {
        if (timer) return
        timer = true
        const end = () => {
          timer = false
          wake()
        }
        clock.idle(ms, signal).then(end, () => undefined)
      }

      return {
        async step() {
          // What there is to read, the set knows.
          alarm.answered()
          const change = await set.next()
          if (change) return change
          const ms = set.msToNext()
          if (ms === 0) return 'again'
          if (ms !== null) wakeIn(ms)
          return 'idle'
        },
        wait: alarm.wait,
        release: unfollow,
      }
    },
  })
}
