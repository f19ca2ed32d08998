import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import type { LiveStream, RunSetChange } from '../../src/engine/api.ts'
import type { RunFilter } from '../../src/engine/reader.ts'
import { newId } from '../../src/ids.ts'
import type { Kern } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { createChance, SEED } from '../faults/seed.ts'
import { onEachDatabase } from '../support/databases.ts'
import { allRuns, createGate, type Gate, type KernSettings, startKern } from '../support/kerns.ts'

/** A workflow whose runs say something, wait until they are let go on, and fail if they are told to. */
function gated(name: string) {
  const gates = new Map<string, Gate>()
  const gateOf = (key: string) => {
    const gate = gates.get(key) ?? createGate()
    gates.set(key, gate)
    return gate
  }
  const waits = step('waits', async ({ input, emit, signal }: StepContext<string>) => {
    emit('here')
    await Promise.race([gateOf(input).pass(), new Promise((resolve) => signal.addEventListener('abort', resolve))])
    if (input.startsWith('fails')) throw new Error('told to')
    for (let count = 0; count < 5; count += 1) emit('on', count)
    return input
  })
  return { workflow: new Workflow({ name, steps: [waits] }), gateOf }
}

const changeOf = ({ kind, run }: RunSetChange) => `${kind} ${run?.status}`

async function nextOf(stream: LiveStream<RunSetChange>): Promise<RunSetChange> {
  const { value } = await stream.next()
  if (!value) throw new Error('a set of runs never ends')
  return value
}

/** A page as a client shows it, which does with it what each change says. */
async function openPage(kern: Kern, filter: RunFilter) {
  const stream = await kern.streams.runs(SYSTEM_VIEWER, { filter })
  const shown = new Map<string, string>()
  const show = ({ runId, status, lastSeq }: { runId: string; status: string; lastSeq: number }) =>
    shown.set(runId, `${status} ${lastSeq}`)
  for (const run of await allRuns(kern, filter)) show(run)

  async function isRight(): Promise<boolean> {
    const found = (await allRuns(kern, filter)).map((run) => [run.runId, `${run.status} ${run.lastSeq}`])
    return JSON.stringify(found) === JSON.stringify([...shown].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  return {
    /** Resolves when the page shows what the filter finds, and nothing more is to come. */
    async settled(): Promise<void> {
      for (;;) {
        const next = stream.next()
        const waiting = stream.caughtUp().then(() => null)
        if ((await Promise.race([next, waiting])) === null && (await isRight())) {
          await stream.return?.()
          return expect(await next).toMatchObject({ done: true })
        }
        const { value } = await next
        if (!value) throw new Error('a set of runs never ends')
        const { kind, run, runId } = value
        if (kind !== 'LEFT' && run) show(run)
        else shown.delete(runId)
      }
    },
  }
}

onEachDatabase((name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  const start = (kern: Kern, { workflow, ...given }: { workflow: Workflow } & Record<string, unknown>) =>
    kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.definition.id, ...given })
  const watch = (kern: Kern, filter: RunFilter) => kern.streams.runs(SYSTEM_VIEWER, { filter })

  describe.each([{ hints: true }, { hints: false }])('a set of runs (%j)', (settings: KernSettings) => {
    test('tells of runs that enter, change and leave, with the run as it is', async () => {
      const { workflow, gateOf } = gated(`Enters ${newId()}`)
      const kern = await startKern(database, [workflow], settings)
      const workflowId = workflow.definition.id
      const all = await watch(kern, { workflowId })
      const running = await watch(kern, { workflowId, statuses: ['RUNNING'] })
      const over = await watch(kern, { workflowId, statuses: ['COMPLETED', 'CANCELLED'] })
      const { runId } = await start(kern, { workflow, input: 'a' })
      expect(await nextOf(running)).toMatchObject({ kind: 'ENTERED', runId, run: { status: 'RUNNING' } })
      expect(await nextOf(all)).toMatchObject({ kind: 'ENTERED', runId })
      await gateOf('a').reached
      gateOf('a').open()
      expect(await nextOf(over)).toMatchObject({ kind: 'ENTERED', runId, run: { status: 'COMPLETED' } })
      const changes = []
      while (changes.at(-1) !== 'CHANGED COMPLETED') changes.push(changeOf(await nextOf(all)))
      expect(changes.slice(0, -1).filter((change) => change !== 'CHANGED RUNNING')).toEqual([])
      let change = await nextOf(running)
      while (change.kind === 'CHANGED') change = await nextOf(running)
      expect(changeOf(change)).toBe('LEFT COMPLETED')
      await Promise.all([all, running, over].map(async (stream) => await stream.return?.()))
    })

    test('gives one who is slow the newest of each run, and nothing of what was before', async () => {
      const { workflow, gateOf } = gated(`Slow ${newId()}`)
      const kern = await startKern(database, [workflow], settings)
      const workflowId = workflow.definition.id
      const set = await watch(kern, { workflowId })
      const runs = await Promise.all(['a', 'b'].map((input) => start(kern, { workflow, input })))
      for (const key of ['a', 'b']) gateOf(key).open()
      for (const { runId } of runs) await kern.waitForRun(runId)
      const given = [await nextOf(set), await nextOf(set)]
      expect(given.map(changeOf)).toEqual(['ENTERED COMPLETED', 'ENTERED COMPLETED'])
      expect(new Set(given.map(({ runId }) => runId))).toEqual(new Set(runs.map(({ runId }) => runId)))
      const next = set.next()
      await set.caughtUp()
      await set.return?.()
      expect(await next).toMatchObject({ done: true })
    })

    test('of any filter keeps a page right that was fetched once', async () => {
      const chance = createChance(SEED)
      const [one, other] = [gated(`One ${newId()}`), gated(`Other ${newId()}`)]
      const kern = await startKern(database, [one.workflow, other.workflow], settings)
      const begun = await start(kern, { ...one, input: newId(), tags: ['x'] })
      const sessionId = newId()
      const workflowId = one.workflow.definition.id
      const now = new Date()
      const filters: RunFilter[] = [
        {},
        { workflowId },
        { sessionId },
        { statuses: ['RUNNING'] },
        { statuses: ['QUEUED'] },
        { statuses: ['COMPLETED', 'FAILED'] },
        { tags: ['x'] },
        { tags: ['x', 'y'], statuses: ['RUNNING', 'CANCELLED'] },
        { createdAt: { from: now } },
        { createdAt: { to: now } },
        { retryOf: begun.runId },
        { workflowId, sessionId, statuses: ['RUNNING', 'QUEUED', 'PAUSED'] },
        { statuses: [] },
      ]
      const pages = await Promise.all(filters.map((filter) => openPage(kern, filter)))
      const started = [{ runId: begun.runId, input: '' }]
      const actions = 30
      for (let count = 0; count < actions; count += 1) {
        const { runId } = chance.one(started)
        const { workflow, gateOf } = chance.one([one, one, other])
        const input = `${chance.one(['fails', 'ends'])} ${newId()}`
        const tags = chance.one([[], ['x'], ['x', 'y']])
        const inSession = workflow === one.workflow && chance.whole(0, 1) === 1 ? { sessionId } : {}
        if (chance.whole(0, 3) === 0) await kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
        else started.push({ runId: (await start(kern, { workflow, input, tags, ...inSession })).runId, input })
        if (chance.whole(0, 1) === 0) gateOf(input).open()
      }
      await kern.commands.cancelRun(SYSTEM_VIEWER, { runId: begun.runId })
      await kern.waitForRun(begun.runId)
      const { runId } = await kern.commands.retryRun(SYSTEM_VIEWER, { runId: begun.runId, fromStep: 'waits' })
      await kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
      for (const { input } of started) for (const { gateOf } of [one, other]) gateOf(input).open()
      for (const run of started) await kern.waitForRun(run.runId)
      await Promise.all(pages.map((page) => page.settled()))
    })

    test('tells that a run which has just ended was deleted', async () => {
      const { workflow, gateOf } = gated(`Deleted ${newId()}`)
      const kern = await startKern(database, [workflow], settings)
      const set = await watch(kern, { workflowId: workflow.definition.id, statuses: ['COMPLETED'] })
      gateOf('a').open()
      const { runId, sessionId } = await kern.run(workflow, { input: 'a' })
      expect(await nextOf(set)).toMatchObject({ kind: 'ENTERED', runId })
      await kern.commands.deleteSession(SYSTEM_VIEWER, { sessionId })
      expect(await nextOf(set)).toEqual({ kind: 'LEFT', runId, run: null })
      await set.return?.()
    })
  })

  test.runIf(name === 'Postgres').each([{ hints: true }, { hints: false }])(
    'a set of runs is told of what other processes do (%j)',
    async (settings) => {
      const { workflow, gateOf } = gated(`Elsewhere ${newId()}`)
      const here = await startKern(database, [workflow], { ...settings, role: 'api' })
      const there = await startKern(database, [workflow], settings)
      const set = await watch(here, { workflowId: workflow.definition.id, statuses: ['COMPLETED'] })
      const page = await openPage(here, { workflowId: workflow.definition.id })
      gateOf('a').open()
      const { runId } = await there.run(workflow, { input: 'a' })
      expect(await nextOf(set)).toMatchObject({ kind: 'ENTERED', runId })
      await set.return?.()
      await page.settled()
    },
  )
})
