import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Duration } from '../clock.ts'
import { pglite } from '../config.ts'
import { openDatabase } from '../db/client.ts'
import type { ResumeRequest, RetryRequest } from '../engine/api.ts'
import type { Runnable, RunOptions, RunResult } from '../engine/library.ts'
import type { AcceptedRun, CallerTransaction } from '../engine/ownTransaction.ts'
import { isFinal } from '../engine/records.ts'
import { KernError, shown } from '../errors.ts'
import type { Json } from '../json.ts'
import { createKernOn, type Kern, type KernOptions } from '../kern.ts'
import { SYSTEM_VIEWER } from '../viewer.ts'
import type { HasDefinition, WorkflowNode } from '../workflow/definition.ts'
import { createTestClock, type TestClock } from './clock.ts'
import { type Override, readOverrides } from './overrides.ts'

export type { TestClock } from './clock.ts'
export type { Override } from './overrides.ts'

/** What a Kern for tests is made of. */
export interface TestKernOptions extends Pick<KernOptions, 'timeZone' | 'maxValueBytes' | 'log' | 'concurrency'> {
  readonly workflows: readonly HasDefinition[]
  /** Functions that take the place of those of steps, by path: `{ 'gather/web': ({ input }) => … }`. @default none */
  readonly overrides?: Readonly<Record<string, Override>> | undefined
  /** What the clock shows first. @default the time now */
  readonly now?: Date | undefined
}

/**
 * A Kern for tests: on a database in memory, with a clock that stands still. Where a run waits for a time (`sleep`, the
 * delay of a retry), `run`, `resumeRun` and `retryRun` let that time pass at once; they resolve when the run is over,
 * or waits for a person, or for its turn behind one that does. Time limits pass only by `advance`.
 */
export interface TestKern extends Kern {
  readonly clock: TestClock
  /** Lets time pass, and resolves when what was due by then has been done. */
  advance(duration: Duration): Promise<void>
}

/**
 * Starts a Kern for tests. Close it when done, or declare it with `await using`.
 *
 * @throws KernError CONFIG_INVALID for an override of something that is not there
 */
export async function testKern({ workflows, overrides = {}, now, ...options }: TestKernOptions): Promise<TestKern> {
  const clock = createTestClock(now ?? new Date())
  const read = readOverrides(workflows, overrides)
  const database = await openDatabase(pglite.memory())
  const kern = await createKernOn(
    database,
    { ...options, workflows, clock, drainMs: 0, graceMs: 0 },
    { parkMs: 0, overrides: read, schedules: false },
  )
  const close = async () => {
    let closed = false
    const closing = kern.close().finally(() => {
      closed = true
    })
    // What still runs is given time to end, which only passes if somebody says so.
    while (!closed) {
      clock.advance('1s')
      await nextTurn()
    }
    await closing
    await database.close()
  }
  return { ...kern, ...withTimePassing(kern, clock), clock, close, [Symbol.asyncDispose]: close }
}

type Passing = Pick<TestKern, 'run' | 'waitForRun' | 'resumeRun' | 'retryRun' | 'advance'>

function withTimePassing(kern: Kern, clock: TestClock): Passing {
  const reader = kern.readerFor(SYSTEM_VIEWER)

  /** Lets time pass as long as the run waits for nothing else. */
  async function settled(runId: string): Promise<RunResult> {
    for (;;) {
      await kern.idle()
      const [run] = await reader.runs([runId])
      const [session] = run?.status === 'QUEUED' ? await reader.sessions([run.sessionId]) : []
      // A run that waits for its turn waits for what the one before it does.
      const [ahead] = session?.activeRunId ? await reader.runs([session.activeRunId]) : [run]
      if (!ahead || isFinal(ahead.status) || ahead.status === 'PAUSED' || ahead.wakeAt === null) break
      clock.advanceTo(ahead.wakeAt)
    }
    const result = await kern.getRun(runId)
    if (result) return result
    throw new KernError('NOT_FOUND', `run ${shown(runId)} was deleted while it was waited for`)
  }

  return {
    async run(
      workflow: Runnable<unknown, unknown, unknown, readonly WorkflowNode[]> | string,
      { input, tx, ...request }: RunOptions & { readonly tx?: CallerTransaction },
    ) {
      const workflowId = typeof workflow === 'string' ? workflow : workflow.definition.id
      // Whether it is JSON is checked with everything else that the caller gives.
      const given = { ...request, workflowId, input: input as Json | undefined }
      // `as`: which of the two it gives, the overloads tell by `tx`.
      if (tx !== undefined)
        return (await kern.run(workflowId, { ...request, input, tx })) as AcceptedRun & RunResult<never>
      const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, given)
      // The output was checked by the schema that gives it its type.
      return (await settled(runId)) as AcceptedRun & RunResult<never>
    },
    async waitForRun(runId: string) {
      const found = await kern.getRun(runId)
      // What is wrong with the id is told there.
      return found ? await settled(runId) : await kern.waitForRun(runId)
    },
    async resumeRun(request: ResumeRequest) {
      const { runId } = await kern.commands.resumeRun(SYSTEM_VIEWER, request)
      return await settled(runId)
    },
    async retryRun(request: RetryRequest) {
      const { runId } = await kern.commands.retryRun(SYSTEM_VIEWER, request)
      return await settled(runId)
    },
    async advance(duration) {
      clock.advance(duration)
      await kern.idle()
    },
  }
}
