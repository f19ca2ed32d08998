import type { Log } from '../log.ts'

/** Why the process should end. */
export interface Stop {
  readonly reason: string
  readonly exitCode: number
}

/**
 * How long after the first signal others are taken for the same one, in milliseconds: on Ctrl-C the terminal signals
 * every process of the group, and `npm` passes its own signal on.
 */
const SAME_SIGNAL_MS = 500

const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const

/**
 * Watches the process for a reason to end: SIGTERM, Ctrl-C, or an error that nobody caught. After the first one the
 * caller ends in its own time; a second signal ends the process at once. A rejection that nobody handles, as steps of
 * workflows may leave behind, is logged and no reason to end.
 */
export function watchForStop(log: Log): Promise<Stop> {
  process.on('unhandledRejection', (err) => log.error({ err }, 'A promise was rejected and nobody handled it'))
  return new Promise((resolve) => {
    let stoppingSince = Number.POSITIVE_INFINITY
    for (const [signal, code] of Object.entries(SIGNALS)) {
      process.on(signal, () => {
        const now = performance.now()
        if (now - stoppingSince > SAME_SIGNAL_MS) process.exit(code)
        stoppingSince = Math.min(stoppingSince, now)
        resolve({ reason: signal, exitCode: 0 })
      })
    }
    process.on('uncaughtException', (err) => {
      log.error({ err }, 'An error was thrown and nobody caught it; Kern stops')
      stoppingSince = Math.min(stoppingSince, performance.now())
      resolve({ reason: 'an uncaught error', exitCode: 1 })
    })
  })
}
