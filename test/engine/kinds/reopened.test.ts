import { describe, expect, test } from 'vitest'
import { newId } from '../../../src/ids.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import { approval } from '../../../src/workflow/approval.ts'
import type { StepContext } from '../../../src/workflow/context.ts'
import type { LoopContext } from '../../../src/workflow/definition.ts'
import { loop } from '../../../src/workflow/loop.ts'
import { nested } from '../../../src/workflow/nested.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
import { step } from '../../../src/workflow/step.ts'
import { defineWorkflow } from '../../../src/workflow/workflow.ts'
import { createGate, startKern } from '../../support/kerns.ts'
import { embedded, seen, workflowOf } from './support.ts'

const database = embedded()
const sets = (name: string, patch: { readonly [Key in string]?: number }) =>
  step(name, ({ setState }: StepContext) => {
    setState(patch)
    return name
  })

describe('a retry', () => {
  test('inside a parallel finds what the siblings that it takes over have changed', async () => {
    const flow = workflowOf([
      parallel('p', [sets('a', { x: 1 }), sequence('s', [step('wait', () => 1), sets('b', { x: 2 })])]),
    ])
    const kern = await startKern(database(), [flow])
    const { runId, error } = await kern.run(flow.definition.id, {})
    expect(error).toMatchObject({ code: 'STATE_CONFLICT' })
    const again = await kern.retryRun({ runId })
    expect(again).toMatchObject({ status: 'FAILED', error: { code: 'STATE_CONFLICT' }, stateAfter: { x: 1 } })
    expect(again.error?.message).toMatch(/"p\/a" and "p\/s\/b".*"x"/)
  })

  test('that is cancelled before its turn leaves nothing open, and one of it executes nothing twice', async () => {
    const gate = createGate()
    let fails = true
    const bodies: string[] = []
    const a = step('a', () => bodies.push('a'))
    const b = step('b', () => {
      bodies.push('b')
      if (fails) throw new Error('not yet')
      return 'b'
    })
    const blocks = step('c', async ({ runInput }: StepContext) => (runInput === 'blocks' ? await gate.pass() : null))
    const flow = workflowOf([step('first', ({ input }: StepContext) => input ?? null), sequence('s', [a, b]), blocks])
    const { id: workflowId } = flow.definition
    const kern = await startKern(database(), [flow])
    const sessionId = newId()
    const { runId } = await kern.run(workflowId, { sessionId })
    fails = false
    const blocker = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId, sessionId, input: 'blocks' })
    await gate.reached
    const queued = await kern.commands.retryRun(SYSTEM_VIEWER, { runId })
    const cancelled = await kern.cancelRun({ runId: queued.runId })
    gate.open()
    expect(cancelled.status).toBe('CANCELLED')
    expect(Object.values(cancelled.steps).filter((row) => row?.completedAt === null)).toEqual([])

    bodies.length = 0
    const again = await kern.retryRun({ runId: queued.runId })
    expect(again.status).toBe('COMPLETED')
    expect(bodies).toEqual(['b'])
    expect(blocker.sessionId).toBe(sessionId)
  })
})

test('a loop whose bound was lowered goes on in the iteration in which it waits', async () => {
  const bounded = (maxIterations: number) =>
    defineWorkflow({
      name: 'Bounded',
      steps: [
        loop('l', {
          steps: [step('s', () => 1), approval('ok', { prompt: 'Go on?' })],
          until: ({ iteration }: LoopContext) => iteration >= 3,
          maxIterations,
        }),
      ],
    })
  const [generous, strict] = [{ definition: bounded(5) }, { definition: bounded(1) }]
  const first = await startKern(database(), [generous])
  const { runId } = await first.run('bounded', {})
  await first.resumeRun({ runId, data: { approved: true } })
  await first.close()
  const second = await startKern(database(), [strict])
  const run = await second.resumeRun({ runId, data: { approved: false } })
  expect(run).toMatchObject({ status: 'COMPLETED', output: { approved: false } })
  expect(run.steps['l[2]/ok']?.status).toBe('COMPLETED')
})

test('the time limit of a nested workflow does not wait for a body that goes on', async () => {
  const gate = createGate()
  const slow = workflowOf([step('slow', () => gate.pass())], { timeout: '20ms' })
  const flow = workflowOf([nested('n', slow)])
  const kern = await startKern(database(), [flow], { graceMs: 3_600_000 })
  const run = await kern.run(flow.definition.id, {})
  expect(run).toMatchObject({ status: 'FAILED', error: { code: 'STEP_TIMEOUT', stepPath: 'n' } })
  gate.open()
  expect((await seen(kern, run.runId)).lines).toContain('STEP_CANCELLED n/slow')
})
