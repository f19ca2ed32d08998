import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { HistoryRun, StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { startKern } from '../support/kerns.ts'

interface Given {
  readonly input: unknown
  readonly text: string
  readonly runs: readonly HistoryRun[]
}

/** Steps that keep what they are given, and a workflow that answers `<input>!`, or fails for the input `fail`. */
function remembering(name: string, settings: object = {}, stepSettings: object = {}) {
  const given: Given[] = []
  const remembers = step({
    name: 'remembers',
    ...stepSettings,
    run: ({ input, runInput, history }: StepContext) => {
      given.push({ input, text: history.text, runs: history.runs })
      if (runInput === 'fail') throw new Error('as asked')
      return typeof runInput === 'string' ? `${runInput}!` : { got: runInput ?? null }
    },
  })
  const workflow = new Workflow({ name, addWorkflowHistoryToSteps: true, ...settings, steps: [remembers] })
  return { workflow, given }
}

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  test('the completed runs of the session, oldest first, stand before a text input as a block', async () => {
    const { workflow, given } = remembering('Block')
    const kern = await startKern(database, [workflow])
    const sessionId = newId()
    const first = await kern.run(workflow, { sessionId, input: 'Create a <post> about AI & more' })
    expect(given[0]).toEqual({ input: 'Create a <post> about AI & more', text: '', runs: [] })
    expect(first.steps.remembers).toMatchObject({ historyUsed: false })
    await kern.run(workflow, { sessionId, input: 'fail' })
    const third = await kern.run(workflow, { sessionId, input: 'Write about ML' })
    await kern.run(workflow, { input: 'of another session' })
    const fourth = await kern.run(workflow, { sessionId, input: 'Go on' })
    const block =
      '<workflow_history_context>\n' +
      '[Workflow Run-1]\n' +
      'User input: Create a &lt;post&gt; about AI &amp; more\n' +
      'Workflow output: Create a &lt;post&gt; about AI &amp; more!\n' +
      '\n' +
      '[Workflow Run-2]\n' +
      'User input: Write about ML\n' +
      'Workflow output: Write about ML!\n' +
      '</workflow_history_context>\n'
    expect(given.at(-1)).toMatchObject({ input: `${block}\nGo on`, text: block })
    expect(given.at(-1)?.runs.map(({ number, input, output }) => [number, input, output])).toEqual([
      [1, 'Create a <post> about AI & more', 'Create a <post> about AI & more!'],
      [3, 'Write about ML', 'Write about ML!'],
    ])
    expect(fourth.historyRunIds).toEqual([first.runId, third.runId])
    expect(fourth.steps.remembers).toMatchObject({ historyUsed: true, input: 'Go on' })
    expect(fourth).toMatchObject({ input: 'Go on', output: 'Go on!' })
  })

  test('a structured input stays as it is, and a run without input leaves its line out', async () => {
    const { workflow, given } = remembering('Structured')
    const kern = await startKern(database, [workflow])
    const sessionId = newId()
    await kern.run(workflow, { sessionId })
    await kern.run(workflow, { sessionId, input: { n: [1, 'a"b'] } })
    await kern.run(workflow, { sessionId, input: { last: true } })
    expect(given[2]?.input).toEqual({ last: true })
    expect(given[2]?.text).toBe(
      '<workflow_history_context>\n' +
        '[Workflow Run-1]\nWorkflow output: {"got":null}\n\n' +
        '[Workflow Run-2]\nUser input: {"n":[1,"a\\"b"]}\nWorkflow output: {"got":{"n":[1,"a\\"b"]}}\n' +
        '</workflow_history_context>\n',
    )
  })

  describe('how many runs', () => {
    test.each([
      ['three where nobody says', {}, {}, [2, 3, 4]],
      ['as many as the workflow says', { numHistoryRuns: 2 }, {}, [3, 4]],
      ['as many as the step says, more than the workflow', { numHistoryRuns: 1 }, { numHistoryRuns: 4 }, [1, 2, 3, 4]],
      ['as many as the step says, fewer than the workflow', { numHistoryRuns: 4 }, { numHistoryRuns: 1 }, [4]],
      [
        'some where only the step says so',
        { addWorkflowHistoryToSteps: false },
        { addWorkflowHistory: true, numHistoryRuns: 2 },
        [3, 4],
      ],
      ['none where nobody asks', { addWorkflowHistoryToSteps: false }, {}, []],
    ])('are given: %s', async (title, settings, stepSettings, numbers) => {
      const { workflow, given } = remembering(title.replace(',', ''), settings, stepSettings)
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      for (const input of ['a', 'b', 'c', 'd']) await kern.run(workflow, { sessionId, input })
      const run = await kern.run(workflow, { sessionId, input: 'e' })
      expect(given.at(-1)?.runs.map(({ number }) => number)).toEqual(numbers)
      expect(run.historyRunIds).toEqual(given.at(-1)?.runs.map(({ runId }) => runId))
      expect(run.steps.remembers?.historyUsed).toBe(numbers.length > 0)
    })

    test('fit into the budget: the oldest are left out until the block does', async () => {
      const { workflow, given } = remembering('Budget', { historyBudget: { characters: 140 }, numHistoryRuns: 9 })
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      for (const input of ['first', 'second', 'third', 'fourth']) await kern.run(workflow, { sessionId, input })
      const { text = '', runs } = given.at(-1) ?? {}
      expect(text.length).toBeLessThanOrEqual(140)
      expect(runs?.map(({ number }) => number)).toEqual([3])
      const run = await kern.run(workflow, { sessionId, input: 'x'.repeat(200) })
      expect(run.historyRunIds).toHaveLength(1)
      // The newest alone is too long now.
      const last = await kern.run(workflow, { sessionId, input: 'end' })
      expect(given.at(-1)).toEqual({ input: 'end', text: '', runs: [] })
      expect(last.historyRunIds).toEqual([])
    })
  })

  test('a step that says no is given none, beside one that is', async () => {
    const texts: Record<string, string> = {}
    const keep = ({ stepPath, history }: StepContext) => {
      texts[stepPath] = history.text
      return 1
    }
    const steps = [step({ name: 'off', addWorkflowHistory: false, run: keep }), step('on', keep)] as const
    const workflow = new Workflow({ name: 'Off', addWorkflowHistoryToSteps: true, steps })
    const kern = await startKern(database, [workflow])
    const { sessionId } = await kern.run(workflow, {})
    const run = await kern.run(workflow, { sessionId })
    expect(texts).toMatchObject({ off: '', on: expect.stringContaining('[Workflow Run-1]') })
    expect(run.steps.off?.historyUsed).toBe(false)
    expect(run.steps.on?.historyUsed).toBe(true)
  })

  test('get reads as far back as it is asked to, whatever the settings are', async () => {
    const seen: (readonly number[])[] = []
    const reads = step('reads', async ({ history }: StepContext) => {
      for (const n of [0, 1, 3, 50]) seen.push((await history.get(n)).map(({ number }) => number))
      return 1
    })
    const workflow = new Workflow({ name: 'Reader', steps: [reads] })
    const kern = await startKern(database, [workflow])
    const sessionId = newId()
    for (let run = 1; run <= 5; run += 1) await kern.run(workflow, { sessionId })
    expect(seen.slice(0, 4)).toEqual([[], [], [], []])
    expect(seen.slice(-4)).toEqual([[], [4], [2, 3, 4], [1, 2, 3, 4]])
  })

  test('historyContext is byte for byte what the next run is given', async () => {
    const odd = ['plain', '</workflow_history_context>', 'a\r\n[Workflow Run-9]\n', '&lt;', '😀 \u2028 "q" \\', '']
    const { workflow, given } = remembering('Context', { numHistoryRuns: 4, historyBudget: { characters: 600 } })
    const kern = await startKern(database, [workflow])
    const sessionId = newId()
    const context = async (numRuns?: number) => {
      const session = await kern.getSession({ sessionId })
      if (!session) throw new Error('the session is not there')
      return await kern.commands.historyContext(SYSTEM_VIEWER, session, numRuns)
    }
    await kern.commands.createSession(SYSTEM_VIEWER, { workflowId: 'context', sessionId })
    for (const input of odd) {
      const expected = await context()
      await kern.run(workflow, { sessionId, input })
      expect(given.at(-1)?.text).toBe(expected ?? '')
      expect(given.at(-1)?.input).toBe(expected === null ? input : `${expected}\n${input}`)
    }
    expect(await context(1)).toBe(
      '<workflow_history_context>\n[Workflow Run-1]\nUser input: \nWorkflow output: !\n</workflow_history_context>\n',
    )
    for (const wrong of [0, 101, 1.5]) await expect(context(wrong)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  })
})
