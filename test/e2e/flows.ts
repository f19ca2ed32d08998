import { z } from 'zod'
import { NonRetryableError } from '../../src/errors.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

/** A door that steps wait at, as tests name them in the input of a run. */
export interface Door {
  /** Resolves when a step waits there. */
  readonly reached: Promise<void>
  open(): void
}

interface Inside extends Door {
  readonly arrive: () => void
  readonly opened: Promise<void>
}

/** The workflows that tests run, and the doors that hold them. */
export function createFlows() {
  const doors = new Map<string, Inside>()
  const door = (name: string): Inside => {
    const known = doors.get(name)
    if (known) return known
    const reached = Promise.withResolvers<void>()
    const opened = Promise.withResolvers<void>()
    const made = { reached: reached.promise, arrive: reached.resolve, opened: opened.promise, open: opened.resolve }
    doors.set(name, made)
    return made
  }
  return {
    door: (name: string): Door => door(name),
    workflows: [pipeline, echo, failing, held(door), stages(door)].map((definition) => ({ definition })),
  }
}

const Topic = z.object({ topic: z.string() })

/** Three steps that change the state, log, and emit an event. */
const pipeline = defineWorkflow({
  name: 'Pipeline',
  description: 'Automated research and analysis pipeline',
  input: Topic,
  steps: [
    step({ name: 'research', input: Topic, run: ({ input }) => ({ notes: [`about ${input.topic}`] }) }),
    step({
      name: 'analyse',
      run: ({ input, setState, log, emit }: { input: { notes: string[] } } & Tools) => {
        setState({ seen: input.notes.length })
        log('analysed')
        emit('found', { notes: input.notes.length })
        return { points: input.notes }
      },
    }),
    step({ name: 'write', run: ({ input }: { input: { points: string[] } }) => `Read ${input.points.join(', ')}` }),
  ],
  addWorkflowHistoryToSteps: true,
})

interface Tools {
  readonly setState: (patch: Record<string, number>) => void
  readonly log: (message: string) => void
  readonly emit: (name: string, data: unknown) => void
}

/** Takes anything and gives it back. */
const echo = defineWorkflow({ name: 'Echo', steps: [step({ name: 'say', run: ({ input }) => input ?? null })] })

const failing = defineWorkflow({
  name: 'Failing',
  steps: [
    step({ name: 'prepare', run: () => 'ready' }),
    step({
      name: 'break',
      run: () => {
        throw new NonRetryableError('it broke')
      },
    }),
  ],
})

const Held = z.object({ door: z.string() })

/** Its middle step waits until the door is opened, or the run is cancelled. */
function held(door: (name: string) => Inside) {
  return defineWorkflow({
    name: 'Held',
    input: Held,
    steps: [
      step({ name: 'before', input: Held, run: ({ input }) => input }),
      step({
        name: 'wait',
        run: async ({ input, signal }: { input: { door: string }; signal: AbortSignal }) => {
          const { arrive, opened } = door(input.door)
          arrive()
          const aborted = new Promise<never>((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason), { once: true })
          })
          await Promise.race([opened, aborted])
          return input.door
        },
      }),
      step({ name: 'after', run: ({ input }) => ({ passed: input ?? null }) }),
    ],
  })
}

/** Each of its steps waits at the door of its name. */
function stages(door: (name: string) => Inside) {
  const stage = (name: string) =>
    step({
      name,
      run: async () => {
        const { arrive, opened } = door(name)
        arrive()
        await opened
        return name
      },
    })
  return defineWorkflow({ name: 'Stages', steps: [stage('one'), stage('two'), stage('three')] })
}
