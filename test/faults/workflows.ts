import { Workflow } from '../../src/author.ts'
import { loop } from '../../src/workflow/loop.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { sleep } from '../../src/workflow/sleep.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { type EffectLog, textOf } from './effects.ts'
import type { Reach } from './hooks.ts'

/** How bodies behave, beyond writing down that they ran. */
export interface Scene {
  readonly log: EffectLog
  readonly reach: Reach
  /** How long the bodies of `slow` take, in milliseconds. */
  readonly slowMs: number
}

interface Body {
  /** Which attempts throw. */
  readonly throws?: (attempt: number) => boolean
  readonly ms?: number
  /** What it does besides. */
  readonly does?: (context: StepContext) => Promise<void>
}

let tokens = 0

/** The workflows that are run while processes die. Every body writes to the log and changes the state of the session. */
export function faultyWorkflows({ log, reach, slowMs }: Scene): Workflow[] {
  const body = (name: string, { throws = () => false, ms = 0, does }: Body = {}) => {
    const run = async (context: StepContext) => {
      const { input, runId, stepPath: path, attempt, idempotencyKey: key, setState } = context
      const token = `${process.pid}-${++tokens}`
      log({ type: 'began', runId, path, attempt, key, token, input: textOf(input) })
      await reach('body')
      await does?.(context)
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
      if (throws(attempt)) {
        log({ type: 'threw', runId, path, token })
        throw new Error(`attempt ${attempt} is to fail`)
      }
      setState((state) => ({ [name]: { token, times: timesOf(state[name]) + 1 } }))
      log({ type: 'returned', runId, path, token })
      return { token }
    }
    return step({ name, run, retry: { maxAttempts: 3, delay: 5 } })
  }
  return [
    new Workflow({ name: 'Deadly', steps: [body('before'), body('deadly', { does: deadly }), body('after')] }),
    new Workflow({
      name: 'Endless',
      steps: [step({ name: 'endless', timeout: 50, run: () => new Promise(() => {}) })],
    }),
    new Workflow({ name: 'Sequence', steps: [body('a'), body('b'), body('c')] }),
    new Workflow({
      name: 'Parallel',
      steps: [body('first'), parallel('both', [body('left'), body('right')]), body('join')],
    }),
    new Workflow({ name: 'Retry', steps: [body('sound'), body('flaky', { throws: (attempt) => attempt === 1 })] }),
    new Workflow({
      name: 'Loop',
      steps: [body('before'), loop('again', { steps: [body('turn')], until: () => false, maxIterations: 3 })],
    }),
    new Workflow({ name: 'Sleep', steps: [body('early'), sleep('rest', 40), body('late')] }),
    new Workflow({ name: 'Slow', steps: [body('one', { ms: slowMs }), body('two', { ms: slowMs })] }),
  ]
}

/** Ends its process: always, or for an error in a timer at the first attempt only. The input of the run says how. */
async function deadly({ runInput, attempt }: StepContext): Promise<void> {
  if (runInput === 'exit') process.exit(7)
  const hoard: number[][] = []
  while (runInput === 'memory') hoard.push(Array.from({ length: 100_000 }, (_, index) => index * Math.random()))
  if (attempt > 1) return
  setTimeout(() => {
    throw new Error('nobody awaits this')
    // Late enough for the start of the attempt to be recorded.
  }, 500)
  await new Promise(() => {})
}

export const WORKFLOW_IDS = ['sequence', 'parallel', 'retry', 'loop', 'sleep'] as const

function timesOf(value: unknown): number {
  return typeof value === 'object' && value !== null && 'times' in value ? Number(value.times) : 0
}
