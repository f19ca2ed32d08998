import type { DatabaseUrl } from '../src/config.ts'
import { createKern, type Kern, step, Workflow } from '../src/index.ts'
import { type Contender, RESULT, STEPS } from './contender.ts'

/** How long a worker may be silent before its runs are another's, as Kern has it where nothing is said, in milliseconds. */
export const DEFAULT_LEASE_MS = 15_000

/** The workflow that is measured: steps that do nothing and return 200 bytes each. */
export function benchWorkflow() {
  const steps = Array.from({ length: STEPS }, (_, index) => step({ name: `step-${index + 1}`, run: () => RESULT }))
  return new Workflow({ name: 'Bench', steps })
}

/** One run of it, from its acceptance to its end. */
export async function runOnce(kern: Kern, workflow: ReturnType<typeof benchWorkflow>): Promise<void> {
  const { status, error } = await kern.run(workflow, { input: {} })
  if (status !== 'COMPLETED') throw new Error(`a run ended as ${status}: ${error?.message}`)
}

/** Kern as a library, at its defaults. */
export async function kernContender(db: DatabaseUrl): Promise<Contender> {
  const workflow = benchWorkflow()
  const kern = await createKern({ db, workflows: [workflow] })
  return {
    title: 'Kern',
    run: () => runOnce(kern, workflow),
    [Symbol.asyncDispose]: () => kern.close(),
  }
}
