import type { DatabaseUrl } from '../src/config.ts'
import { createKern, step, Workflow } from '../src/index.ts'
import { type Contender, RESULT, STEPS } from './contender.ts'

/** Kern as a library, at its defaults. */
export async function kernContender(db: DatabaseUrl): Promise<Contender> {
  const steps = Array.from({ length: STEPS }, (_, index) => step({ name: `step-${index + 1}`, run: () => RESULT }))
  const workflow = new Workflow({ name: 'Bench', steps })
  const kern = await createKern({ db, workflows: [workflow] })
  return {
    name: 'Kern',
    async run() {
      const { status, error } = await kern.run(workflow, { input: {} })
      if (status !== 'COMPLETED') throw new Error(`a run ended as ${status}: ${error?.message}`)
    },
    [Symbol.asyncDispose]: () => kern.close(),
  }
}
