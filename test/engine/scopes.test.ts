import { expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { createBell } from '../../src/engine/bell.ts'
import { runBranches } from '../../src/engine/branches.ts'
import type { NodeOutcome, Scope } from '../../src/engine/execution.ts'
import { StepFailure } from '../../src/engine/failure.ts'
import { runWait } from '../../src/engine/kinds/wait.ts'
import { createPartials } from '../../src/engine/partials.ts'
import type { StepRecord } from '../../src/engine/records.ts'
import { createStateView } from '../../src/engine/stateView.ts'
import { KernError } from '../../src/errors.ts'
import { newId } from '../../src/ids.ts'
import { DEFAULT_LIMITS } from '../../src/json.ts'
import { approval } from '../../src/workflow/approval.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { plainRun, plainStep } from '../support/records.ts'
import { createGate } from '../support/kerns.ts'

/*
 * What happens between two steps of the engine that no test from outside can hit at will: a branch by hand, whose ports
 * do what the test says.
 */

/** A branch of a run whose answers come, and whose writes are committed, as the test says. */
function scopeOf({ refresh, commit }: { refresh: () => Promise<void>; commit: () => void }) {
  const definition = defineWorkflow({ name: 'By hand', steps: [step('only', () => 1)] })
  const bell = createBell()
  const steps = new Map<string, StepRecord>()
  const at = systemClock.now()
  const scope: Scope = {
    execution: {
      run: {
        ...plainRun,
        runId: newId(),
        sessionId: newId(),
        number: 1,
        workflowId: definition.id,
        workflowName: definition.name,
        status: 'RUNNING',
        lastSeq: 1,
        createdAt: at,
        startedAt: at,
        completedAt: null,
        durationMs: null,
      },
      definition,
      recorder: {
        note: () => undefined,
        commit: async () => commit(),
        defer: () => undefined,
        durable: async () => undefined,
        settle: async () => 'committed',
        seq: () => 1,
        idle: async () => undefined,
      },
      clock: systemClock,
      random: () => 0,
      limits: DEFAULT_LIMITS,
      graceMs: 1_000,
      parkMs: 1_000,
      cautious: false,
      draining: new AbortController().signal,
      historyRuns: [],
      readHistory: async () => [],
      overrides: new Map(),
      steps,
      patches: [],
      answers: { seen: () => 0, rung: bell.rung, refresh },
      partials: createPartials({ clock: systemClock, limits: DEFAULT_LIMITS, publish: () => undefined }),
      state: {},
      position: 0,
      authorEvents: 0,
    },
    definition,
    runInput: undefined,
    history: true,
    signal: new AbortController().signal,
    state: createStateView({}),
  }
  return { scope, steps, bell }
}

test('branches that are under way are waited for where the answers of another one cannot be read', async () => {
  const failure = new KernError('UNAVAILABLE', 'no database')
  const { scope, bell } = scopeOf({ refresh: () => Promise.reject(failure), commit: () => undefined })
  const gate = createGate()
  const log: string[] = []
  const waits: NodeOutcome = { type: 'waiting', until: null, person: true }
  const works = async ({ signal }: Scope): Promise<NodeOutcome> => {
    await gate.pass()
    log.push(`the branch ends, and was ${signal.aborted ? 'aborted' : 'left alone'}`)
    return { type: 'done', flow: { value: 1, source: 'own' } }
  }
  const aborted = Promise.withResolvers<void>()
  const all = runBranches(scope, {
    path: 'p',
    count: 2,
    branchOf: () => 0,
    run: (branch, index) => {
      branch.signal.addEventListener('abort', () => aborted.resolve())
      return index === 0 ? Promise.resolve(waits) : works(branch)
    },
    concurrency: 2,
    failFast: true,
  }).catch((error: unknown) => {
    log.push('the run is let go')
    return error
  })
  await gate.reached
  bell.ring()
  await aborted.promise
  gate.open()
  expect(await all).toBe(failure)
  expect(log).toEqual(['the branch ends, and was aborted', 'the run is let go'])
})

test('a branch that is recorded as failed says so before another one goes on', async () => {
  const { scope, steps } = scopeOf({ refresh: async () => undefined, commit: () => undefined })
  const at = systemClock.now()
  const error = { name: 'Error', code: null, message: 'no', stepPath: 'p/b', retryable: true }
  const [runId, attempts] = [
    newId(),
    [{ number: 1, startedAt: at.toISOString(), completedAt: at.toISOString(), error }],
  ]
  const row = { ...plainStep, runId, path: 'p/b', position: 1, parentPath: 'p', name: 'b', inputFrom: 'run' } as const
  steps.set('p/b', { ...row, status: 'FAILED', error, attempts, startedAt: at, completedAt: at })
  const started: number[] = []
  const all = runBranches(scope, {
    path: 'p',
    count: 2,
    branchOf: (below) => (below === '/b' ? 1 : 0),
    run: async (_branch, index) => {
      started.push(index)
      throw new StepFailure(error)
    },
    concurrency: 2,
    failFast: true,
  })
  await expect(all).rejects.toThrow('no')
  expect(started).toEqual([1])
})

test('an answer that is read while its question is being written is not overlooked', async () => {
  const node = approval('ok', { prompt: 'Go on?' })
  const { scope, steps } = scopeOf({
    refresh: async () => undefined,
    commit: () => {
      const asked = steps.get('ok')
      if (asked?.status !== 'PAUSED') return
      const at = systemClock.now().toISOString()
      steps.set('ok', {
        ...asked,
        answer: { number: 1, action: 'CONTINUE', data: { approved: true }, at, userId: null },
      })
    },
  })
  const input = { value: 'in', source: 'own' } as const
  const outcome = await runWait(scope, { node, place: { path: 'ok', parentPath: null }, input })
  expect(outcome).toMatchObject({ type: 'done', flow: { value: { approved: true, input: 'in' } } })
})
