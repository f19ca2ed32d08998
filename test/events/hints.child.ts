// Run as a process of its own: it executes a run, closes, and ends by itself if nothing is left that keeps it alive.
import { Workflow } from '../../src/author.ts'
import { postgres } from '../../src/config.ts'
import { createKern } from '../../src/kern.ts'
import { step } from '../../src/workflow/step.ts'

export const told = new Workflow({ name: 'Told', steps: [step('one', () => 1), step('two', () => 2)] })

async function main(url: string, sessionId: string): Promise<void> {
  const kern = await createKern({ db: postgres(url), workflows: [told] })
  await kern.run(told, { sessionId })
  await kern.close()
}

const [, , url = '', sessionId = ''] = process.argv
if (import.meta.main) await main(url, sessionId)
