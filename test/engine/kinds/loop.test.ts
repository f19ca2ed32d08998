import { beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../../src/db/client.ts'
import { isKernError } from '../../../src/errors.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import type { OutputSource, StepContext } from '../../../src/workflow/context.ts'
import type { LoopContext } from '../../../src/workflow/definition.ts'
import { loop } from '../../../src/workflow/loop.ts'
import { map } from '../../../src/workflow/map.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
import { step } from '../../../src/workflow/step.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { startKern } from '../../support/kerns.ts'
import { acrossRestart, createBreak, embedded, ended, execute, pathsOf, start, workflowOf } from './support.ts'

const database = embedded()

const draft = step('draft', ({ input }: StepContext) => ({ draft: input }))
const score = step('score', ({ input }: StepContext) => [input])
const adds = step('adds', ({ input }: StepContext) => Number(input) + 1)
const after = step('after', ({ input }: StepContext) => ({ input }))

describe('a loop', () => {
  test('repeats its steps until its function says so, and yields what the last iteration does', async () => {
    const asked: unknown[] = []
    const refine = loop('refine', {
      steps: [draft, score],
      until: ({ input, output, iteration, stepPath }: LoopContext) => {
        asked.push({ input, output, iteration, stepPath })
        return iteration === 2
      },
      maxIterations: 5,
    })
    const run = await execute(database(), [refine, after], { input: 'in' })
    const output = [{ draft: 'in' }]
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: output }, stepCount: 6 })
    expect(asked).toEqual([1, 2].map((iteration) => ({ input: 'in', output, iteration, stepPath: 'refine' })))
    const paths = ['refine[1]/draft', 'refine[1]/score', 'refine[2]/draft', 'refine[2]/score']
    expect(pathsOf(run, 'STEP_STARTED')).toEqual(['refine', ...paths, 'after'])
    expect(pathsOf(run, 'STEP_COMPLETED')).toEqual([...paths, 'refine', 'after'])
    for (const path of paths) expect(run.steps[path]).toMatchObject({ parentPath: 'refine', kind: 'step' })
    expect(run.steps['refine[1]/draft']).toMatchObject({ name: 'draft', input: 'in' })
    const decision = { iterations: 2, over: true }
    expect(run.steps['refine']).toMatchObject({ kind: 'loop', input: 'in', output, decision })
  })

  test.each([
    ['its function never says so', { until: () => false }],
    ['it has no function', {}],
  ])('ends after its greatest number of iterations where %s', async (_title, options) => {
    const counts = loop('counts', { steps: [adds], maxIterations: 3, ...options })
    const run = await execute(database(), [counts], { input: 1 })
    expect(run).toMatchObject({ status: 'COMPLETED', output: 2, stepCount: 4 })
    expect(run.steps['counts[3]/adds']).toMatchObject({ input: 1, output: 2 })
    expect(run.steps['counts[4]/adds']).toBeUndefined()
  })

  test('does not ask its function after the last iteration that it may have', async () => {
    const asked: number[] = []
    const until = ({ iteration }: LoopContext) => {
      asked.push(iteration)
      return false
    }
    await execute(database(), [loop('counts', { steps: [adds], maxIterations: 3, until })], { input: 1 })
    expect(asked).toEqual([1, 2])
  })

  test('gives an iteration what the one before it yields where it carries, and else its own input', async () => {
    const options = { steps: [adds], maxIterations: 3 } as const
    expect((await execute(database(), [loop('l', { ...options, carry: true })], { input: 1 })).output).toBe(4)
    const carried = await execute(database(), [loop('l', { ...options, carry: true })], { input: 1 })
    expect(carried.steps['l[2]/adds']).toMatchObject({ input: 2, output: 3 })
    expect((await execute(database(), [loop('l', { ...options, carry: false })], { input: 1 })).output).toBe(2)
  })

  test('asks with the input of the loop, what the iteration made of the state, and its outputs', async () => {
    const seen: unknown[] = []
    const counts = step('counts', ({ state, setState }: StepContext) => {
      const n = Number(state['n'] ?? 0) + 1
      setState({ n })
      return n
    })
    const until = (context: LoopContext) => {
      seen.push([context.input, context.state['n'], context.output, context.outputOf(counts)])
      for (const changes of ['setState', 'stop', 'emit', 'log']) expect(context).not.toHaveProperty(changes)
      return Number(context.state['n']) >= 3
    }
    const run = await execute(database(), [loop('l', { steps: [counts], until, maxIterations: 9, carry: true })], {
      input: 'in',
    })
    expect(run).toMatchObject({ status: 'COMPLETED', output: 3, stateAfter: { n: 3 } })
    expect(seen).toEqual([1, 2, 3].map((n) => ['in', n, n, n]))
  })

  test('lets nobody change what an iteration yielded by looking at it', async () => {
    const until = ({ output }: LoopContext) => {
      if (Array.isArray(output)) output.push('changed')
      return true
    }
    const run = await execute(database(), [loop('l', { steps: [score], until, maxIterations: 2 })], { input: 'in' })
    expect(run.output).toEqual(['in'])
  })

  test('fails with a step of an iteration, and goes on no more', async () => {
    const breaks = step('breaks', ({ stepPath, input }: StepContext) => {
      if (stepPath.startsWith('l[2]')) throw new Error('no')
      return input
    })
    const run = await execute(database(), [loop('l', { steps: [breaks], maxIterations: 3 }), after], { input: 'in' })
    const error = { message: 'no', stepPath: 'l[2]/breaks' }
    expect(run).toMatchObject({ status: 'FAILED', error, stepCount: 3 })
    expect(run.steps['l']).toMatchObject({ status: 'FAILED', error })
    expect(run.steps['l[1]/breaks']).toMatchObject({ status: 'COMPLETED' })
  })

  test('fails with what its function throws', async () => {
    const until = () => {
      throw new Error('cannot tell')
    }
    const run = await execute(database(), [loop('l', { steps: [draft], until, maxIterations: 3 })], { input: 'in' })
    expect(run).toMatchObject({ status: 'FAILED', error: { message: 'cannot tell', stepPath: 'l' }, stepCount: 2 })
  })

  test('ends with the run where a step stops it', async () => {
    const stops = step('stops', ({ stepPath, stop, input }: StepContext) =>
      stepPath === 'l[2]/stops' ? stop('early') : input,
    )
    const run = await execute(database(), [loop('l', { steps: [stops, draft], maxIterations: 9 }), after], {
      input: 'in',
    })
    expect(run).toMatchObject({ status: 'COMPLETED', output: 'early', stoppedBy: 'l[2]/stops', stepCount: 4 })
    expect(run.steps['l']).toMatchObject({ status: 'COMPLETED', output: 'early' })
  })

  test('stops between iterations at a cancel, though none of its steps listens to its signal', async () => {
    const endless = loop('endless', { steps: [adds], maxIterations: 10_000 })
    const workflow = workflowOf([endless, after])
    const kern = await startKern(database(), [workflow])
    const runId = await start(kern, workflow, { input: 1 })
    let cancelled: Promise<unknown> | undefined
    for await (const { stepPath, type } of await kern.streams.run(SYSTEM_VIEWER, { runId })) {
      if (type === 'STEP_COMPLETED' && stepPath === 'endless[3]/adds') {
        cancelled = kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
      }
    }
    await cancelled
    const run = await ended(kern, runId)
    expect(run).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED' } })
    expect(run.stepCount).toBeLessThan(10_000)
    expect(run.steps['endless[3]/adds']).toMatchObject({ status: 'COMPLETED' })
    expect(run.steps['endless']).toMatchObject({ status: 'CANCELLED' })
  })
})

describe('outputOf in a loop', () => {
  const reads = (name: string, source: OutputSource<unknown>) =>
    step(name, ({ outputOf }: StepContext) => {
      try {
        return { read: outputOf(source) }
      } catch (error) {
        return { code: isKernError(error) ? error.code : 'none' }
      }
    })

  test('reads a step of the same iteration, and of one that comes later that of the iteration before', async () => {
    const source = step('draft', ({ stepPath }: StepContext) => stepPath)
    const l = loop('l', { steps: [reads('early', source), source, reads('late', source)], maxIterations: 2 })
    const run = await execute(database(), [l, reads('outside', source)])
    expect(run.steps['l[1]/early']?.output).toEqual({ code: 'NOT_FOUND' })
    expect(run.steps['l[1]/late']?.output).toEqual({ read: 'l[1]/draft' })
    expect(run.steps['l[2]/early']?.output).toEqual({ read: 'l[1]/draft' })
    expect(run.steps['l[2]/late']?.output).toEqual({ read: 'l[2]/draft' })
    // From outside: that of the last iteration.
    expect(run.output).toEqual({ read: 'l[2]/draft' })
  })

  test('reads the last iteration also where the function ended the loop, and through loops in loops', async () => {
    const inner = step('inner', ({ stepPath }: StepContext) => stepPath)
    const below = loop('below', { steps: [inner], until: ({ iteration }) => iteration === 2, maxIterations: 9 })
    const l = loop('l', {
      steps: [below, sequence('s', [reads('near', inner)])],
      maxIterations: 2,
    })
    const run = await execute(database(), [l, reads('outside', inner)], { input: 'in' })
    expect(run.steps['l[1]/s/near']?.output).toEqual({ read: 'l[1]/below[2]/inner' })
    expect(run.output).toEqual({ read: 'l[2]/below[2]/inner' })
  })

  test('reads what came before the loop, and the loop itself after it', async () => {
    const l = loop('l', { steps: [reads('inside', draft)], maxIterations: 1 })
    const both = step('both', ({ outputOf }: StepContext) => [outputOf(draft), outputOf(l)])
    const run = await execute(database(), [draft, l, both], { input: 'in' })
    expect(run.output).toEqual([{ draft: 'in' }, { read: { draft: 'in' } }])
  })
})

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  test('a loop goes on in the iteration in which it was, and asks about none of those before it again', async () => {
    const asked: number[] = []
    const broken = createBreak('broken')
    const sometimes = step('sometimes', async (context: StepContext) =>
      context.stepPath.startsWith('l[3]') ? await broken.node.run(context) : Number(context.input) + 1,
    )
    const l = loop('l', {
      steps: [sometimes],
      // After the restart it would end the loop at the first question.
      until: ({ iteration }) => asked.push(iteration) > 2,
      maxIterations: 9,
      carry: true,
    })
    const run = await acrossRestart(own, workflowOf([l]), { reached: broken.reached, input: 0 })
    expect(asked).toEqual([1, 2, 3])
    expect(run).toMatchObject({ status: 'COMPLETED', output: 2, stepCount: 4 })
    expect(run.steps['l[3]/sometimes']?.attempts).toHaveLength(2)
    expect(run.steps['l']).toMatchObject({ decision: { iterations: 3, over: true } })
  })

  test('loops and maps in each other tell every number in their paths', async () => {
    const inner = map('each', { steps: [loop('twice', { steps: [adds], maxIterations: 2, carry: true })] })
    const run = await execute(own, [loop('rounds', { steps: [inner], maxIterations: 2, carry: true })], {
      input: [0, 10],
    })
    expect(run).toMatchObject({ status: 'COMPLETED', output: [4, 14] })
    expect(run.steps['rounds[2]/each[1]/twice[2]/adds']).toMatchObject({
      input: 13,
      output: 14,
      parentPath: 'rounds[2]/each[1]/twice',
    })
    expect(run.steps['rounds[2]/each[1]/twice']).toMatchObject({ parentPath: 'rounds[2]/each', kind: 'loop' })
  })
})
