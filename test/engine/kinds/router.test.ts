import { beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../../src/db/client.ts'
import type { ReadContext, StepContext } from '../../../src/workflow/context.ts'
import { router } from '../../../src/workflow/router.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
import { step } from '../../../src/workflow/step.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { acrossRestart, createBreak, embedded, execute, pathsOf, workflowOf } from './support.ts'

const database = embedded()

const marks = (name: string) => step(name, ({ input }: StepContext) => [input, name])
const [short, long] = [marks('short'), marks('long')]
const deep = sequence('deep', [marks('a'), marks('b')])
const choices = [short, long, deep]
const after = step('after', ({ input }: StepContext) => ({ input }))

/** A router that selects this, whatever it is. */
// As from JavaScript: the types let names of choices through, and nothing else.
const selecting = (selection: unknown) => router('route', { select: () => selection as 'short', choices })

describe('a router', () => {
  test.each<[string, unknown, unknown, readonly string[]]>([
    ['one name', 'short', ['in', 'short'], ['route/short']],
    ['a list of one', ['long'], ['in', 'long'], ['route/long']],
    ['several names', ['long', 'short'], [['in', 'long'], 'short'], ['route/long', 'route/short']],
    ['what holds others', 'deep', [['in', 'a'], 'b'], ['route/deep/a', 'route/deep/b', 'route/deep']],
  ])('that selects %s runs that, each with what the one before it yields', async (_title, selection, output, paths) => {
    const run = await execute(database(), [selecting(selection), after], { input: 'in' })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: output } })
    expect(pathsOf(run, 'STEP_COMPLETED')).toEqual([...paths, 'route', 'after'])
    expect(run.steps['route']).toMatchObject({ kind: 'router', input: 'in', output, decision: [selection].flat() })
    expect(run.steps[paths.at(-1) ?? '']).toMatchObject({ parentPath: 'route' })
  })

  test.each<[string, unknown]>([
    ['a name that no choice has', 'medium'],
    ['a list with such a name', ['short', 'medium']],
    ['nothing', undefined],
    ['an empty list', []],
    ['a name twice', ['short', 'short']],
    ['the step itself', short],
    ['a number', 0],
  ])('that selects %s fails, says what it selected, and lists the choices', async (_title, selection) => {
    const run = await execute(database(), [selecting(selection), after], { input: 'in' })
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'OUTPUT_INVALID', stepPath: 'route' }, stepCount: 1 })
    expect(run.error?.message).toContain('"short", "long", "deep"')
    if (typeof selection === 'string') expect(run.error?.message).toContain('selected "medium"')
    expect(run.steps['route']).toMatchObject({ status: 'FAILED', decision: undefined })
  })

  test('may select later, by its input, the state and what came before it', async () => {
    let seen: ReadContext | undefined
    const first = step('first', ({ setState }: StepContext) => {
      setState({ prefers: 'long' })
      return { kind: 'deep' as const }
    })
    const route = router('route', {
      select: async (context: ReadContext<{ kind: 'deep' }>) => {
        seen = context
        await Promise.resolve()
        return context.state['prefers'] === 'long' ? (['long', context.input.kind] as const) : 'short'
      },
      choices,
    })
    const run = await execute(database(), [first, route])
    expect(run.output).toEqual([[[{ kind: 'deep' }, 'long'], 'a'], 'b'])
    expect(seen?.outputOf(first)).toEqual({ kind: 'deep' })
    for (const changes of ['setState', 'stop', 'emit', 'log']) expect(seen).not.toHaveProperty(changes)
  })

  test('that throws fails with what was thrown', async () => {
    const route = router('route', {
      select: () => {
        throw new Error('lost')
      },
      choices,
    })
    const run = await execute(database(), [route])
    expect(run).toMatchObject({ status: 'FAILED', error: { message: 'lost', stepPath: 'route' } })
  })

  test('whose choice fails runs none of those after it', async () => {
    const breaks = step('breaks', () => {
      throw new Error('no')
    })
    const route = router('route', {
      select: () => ['short', 'breaks', 'long'] as const,
      choices: [long, breaks, short],
    })
    const run = await execute(database(), [route], { input: 'in' })
    expect(run).toMatchObject({ status: 'FAILED', error: { message: 'no', stepPath: 'route/breaks' }, stepCount: 3 })
    expect(run.steps['route/breaks']?.input).toEqual(['in', 'short'])
  })

  test('whose choice stops the run ends it there', async () => {
    const stops = step('stops', ({ stop, input }: StepContext) => stop(input))
    const route = router('route', { select: () => ['short', 'stops', 'long'] as const, choices: [short, stops, long] })
    const run = await execute(database(), [route, after], { input: 'in' })
    expect(run).toMatchObject({ status: 'COMPLETED', output: ['in', 'short'], stoppedBy: 'route/stops', stepCount: 3 })
  })
})

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  test('a router keeps to what it selected first, also where it would select otherwise after a restart', async () => {
    const broken = createBreak('broken')
    let asked = 0
    const route = router('route', {
      select: () => {
        asked += 1
        return asked === 1 ? (['broken', 'short'] as const) : 'long'
      },
      choices: [short, long, broken.node],
    })
    const run = await acrossRestart(own, workflowOf([route]), { reached: broken.reached, input: 'in' })
    expect(run).toMatchObject({ status: 'COMPLETED', output: ['in', 'short'] })
    expect(run.steps['route']).toMatchObject({ decision: ['broken', 'short'] })
    expect(asked).toBe(1)
  })
})
