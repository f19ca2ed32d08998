import { describe, expect, test } from 'vitest'
import type { StepContext } from '../../../src/workflow/context.ts'
import { condition } from '../../../src/workflow/condition.ts'
import type { WorkflowNode } from '../../../src/workflow/definition.ts'
import { loop } from '../../../src/workflow/loop.ts'
import { map } from '../../../src/workflow/map.ts'
import { nested } from '../../../src/workflow/nested.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { router } from '../../../src/workflow/router.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
import { step } from '../../../src/workflow/step.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import { eventsOf, startKern } from '../../support/kerns.ts'
import { createPatient, embedded, ended, execute, pathsOf, start, workflowOf } from './support.ts'

const database = embedded()

/** The kinds that hold others, each around one node. */
const around: readonly ((name: string, inner: WorkflowNode) => WorkflowNode)[] = [
  (name, inner) => sequence(name, [inner]),
  (name, inner) => parallel(name, [inner]),
  (name, inner) => condition(name, { if: () => true, then: [inner] }),
  (name, inner) => router(name, { select: () => inner.name, choices: [inner] }),
  (name, inner) => loop(name, { steps: [inner], maxIterations: 1 }),
  (name, inner) => map(name, { items: ({ input }) => [input], steps: [inner] }),
  (name, inner) => nested(name, workflowOf([inner])),
]

/** A node with `depth` nodes around it, of all kinds. */
const within = (inner: WorkflowNode, depth: number): WorkflowNode =>
  Array.from({ length: depth }, (_, index) => depth - index).reduce(
    (node, level) => around[level % around.length]?.(`n${level}`, node) ?? node,
    inner,
  )

/** What comes out of it: an object for each parallel, an array for each map. */
const wrapped = (value: unknown, depth: number): unknown =>
  Array.from({ length: depth }, (_, index) => depth - index).reduce((inner, level) => {
    const kind = level % around.length
    if (kind === 1) return { [level === depth ? 'deep' : `n${level + 1}`]: inner }
    return kind === 5 ? [inner] : inner
  }, value)

describe('nodes in each other', () => {
  test('run 32 levels deep, of all kinds', async () => {
    const first = step('first', ({ input }: StepContext<string>) => ({ input }))
    const deep = step('deep', ({ input, setState, outputOf }: StepContext) => {
      setState({ deepest: outputOf(first) })
      return [input]
    })
    const run = await execute(database(), [first, within(deep, 31)], { input: 'in' })
    expect(run).toMatchObject({ status: 'COMPLETED', stepCount: 33, stateAfter: { deepest: { input: 'in' } } })
    expect(run.output).toEqual(wrapped([{ input: 'in' }], 31))
    expect(pathsOf(run, 'STEP_COMPLETED').at(1)?.split('/')).toHaveLength(32)
  })

  test.each(
    around.map(
      (make) =>
        make(
          'kind',
          step('deep', () => 1),
        ).kind,
    ),
  )('of kind %s are aborted with what is in them when the run is cancelled', async (kind) => {
    const patient = createPatient('patient')
    const index = around.findIndex((make) => make('kind', patient.node).kind === kind)
    const outer = around[index]?.('outer', patient.node)
    const workflow = workflowOf(outer ? [outer, step('never', () => 1)] : [])
    const kern = await startKern(database(), [workflow])
    const runId = await start(kern, workflow, { input: 'in' })
    await patient.reached
    await kern.commands.cancelRun(SYSTEM_VIEWER, { runId, reason: 'enough' })
    const run = await ended(kern, runId)
    expect(run).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED' }, stateAfter: {} })
    expect(patient.reasons).toMatchObject([{ code: 'CANCELLED', message: expect.stringContaining('enough') }])
    const [inner = ''] = pathsOf(run, 'STEP_CANCELLED')
    expect(inner).toMatch(/^outer(\[\d\])?\/patient$/)
    expect(run.steps[inner]).toMatchObject({ status: 'CANCELLED', output: undefined })
    expect(run.steps['outer']).toMatchObject({ status: 'CANCELLED' })
    expect(run.steps['never']).toBeUndefined()
  })

  test('tell events of an author’s own by the path in the run', async () => {
    const tells = step('tells', ({ emit, log, input }: StepContext) => {
      emit('found', { input })
      log(`at ${String(input)}`, { level: 'debug' })
      return input
    })
    const steps = [
      map('each', { steps: [tells], concurrency: 1 }),
      loop('twice', { steps: [sequence('in', [tells])], maxIterations: 2 }),
      parallel('both', [nested('sub', workflowOf([tells])), tells], { concurrency: 1 }),
    ]
    const workflow = workflowOf(steps)
    const kern = await startKern(database(), [workflow])
    const { runId } = await ended(kern, await start(kern, workflow, { input: ['a', 'b'] }))
    const own = (await eventsOf(kern, runId)).filter(({ type }) => type === 'CUSTOM' || type === 'LOG')
    const paths = [
      'each[0]/tells',
      'each[1]/tells',
      'twice[1]/in/tells',
      'twice[2]/in/tells',
      'both/sub/tells',
      'both/tells',
    ]
    expect(own.map(({ type, stepPath }) => `${type} ${stepPath}`)).toEqual(
      paths.flatMap((path) => [`CUSTOM ${path}`, `LOG ${path}`]),
    )
    expect(own[0]).toMatchObject({ name: 'found', data: { input: 'a' } })
    expect(own[3]).toMatchObject({ data: { level: 'debug', message: 'at b' } })
  })
})
