import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { loop } from '../../src/workflow/loop.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'

/** How much a run says, and how fast. */
export interface Talk {
  /** How many steps talk, one after another, 1 to 100. */
  readonly turns: number
  /** How many events each of them adds to the run. */
  readonly words: number
  /** How long it waits before each, in milliseconds: from none to twice as long. */
  readonly ms: number
}

interface Said {
  readonly turn: string
  readonly text: string
}

async function say({ runInput, stepPath, emit, setState, attempt }: StepContext): Promise<Said> {
  // The caller of the run gives it.
  const { words, ms } = runInput as Talk
  for (let word = 1; word <= words; word += 1) {
    if (ms > 0) await delay(Math.random() * 2 * ms)
    emit('said', { word, attempt, text: `${stepPath} says “${word}”\nand more` })
  }
  setState({ last: stepPath })
  return { turn: stepPath, text: 'x'.repeat(words) }
}

const talking = () =>
  loop('talks', {
    steps: [step('turn', say)],
    // The caller of the run gives it.
    until: ({ iteration, runInput }) => iteration >= (runInput as Talk).turns,
    maxIterations: 100,
  })

/** What the runs of these tests execute: they talk by a {@link Talk}, and the second one then waits for a person. */
export const talkative = [
  new Workflow({ name: 'Talks', steps: [step('greets', () => 'hello'), talking()] }),
  new Workflow({
    name: 'Waits',
    steps: [talking(), waitForInput('asks', { prompt: 'Go on?', schema: z.boolean() }), step('leaves', () => 'bye')],
  }),
]

/** How many events a run of {@link talkative} has at least before it is over, or waits. */
export function eventsOfTalk({ turns, words }: Talk): number {
  // Queued and started; then of each turn its start, its words, its change of the state and its end.
  return 2 + turns * (words + 3)
}
