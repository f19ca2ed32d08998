import { testKern } from 'kern/testing'
import { expect, test } from 'vitest'
import { publish } from './publish.ts'

test('what a person approves is printed', async () => {
  await using kern = await testKern({ workflows: [publish], overrides: { 'decision/release/print': () => 'printed' } })
  const { runId, status } = await kern.run(publish, { input: { text: 'Hear, hear.', title: 'A call' } })
  expect(status).toBe('PAUSED')

  const run = await kern.resumeRun({ runId, data: { approved: true } })
  expect(run).toMatchObject({ status: 'COMPLETED', output: 'printed' })
})

test('what nobody names or approves is put aside after a day', async () => {
  await using kern = await testKern({ workflows: [publish] })
  const { runId } = await kern.run(publish, { input: { text: 'Hear, hear.' } })
  await kern.advance('1h')
  await kern.advance('1d')

  const output = { published: false, title: 'Untitled', because: 'nobody approved it' }
  expect(await kern.getRun(runId)).toMatchObject({ status: 'COMPLETED', output })
})
