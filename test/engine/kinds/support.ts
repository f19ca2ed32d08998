import { openAsBlob } from 'node:fs'
import { afterAll, beforeAll, inject } from 'vitest'
import type { Duration } from '../../../src/clock.ts'
import { pglite } from '../../../src/config.ts'
import { type Database, openDatabase } from '../../../src/db/client.ts'
import type { RunOptions, RunResult } from '../../../src/engine/library.ts'
import type { RunEventType } from '../../../src/engine/records.ts'
import type { Kern } from '../../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import type { StepContext } from '../../../src/workflow/context.ts'
import type { HasDefinition, Schema, WorkflowDefinition, WorkflowNode } from '../../../src/workflow/definition.ts'
import { step } from '../../../src/workflow/step.ts'
import { defineWorkflow } from '../../../src/workflow/workflow.ts'
import { eventLines, type KernSettings, startKern } from '../../support/kerns.ts'

/** One embedded database for the tests of a file, where it does not matter which database it is. */
export function embedded(): () => Database {
  let database: Database | undefined
  beforeAll(async () => {
    database = await openDatabase(pglite.memory(), { image: await openAsBlob(inject('image')), migrate: false })
  })
  afterAll(() => database?.close())
  return () => {
    if (!database) throw new Error('the database is open while tests run only')
    return database
  }
}

/** What a workflow may have besides its steps. */
export type Options = Partial<Omit<WorkflowDefinition, 'kind' | 'steps' | 'state' | 'input' | 'timeoutMs'>> & {
  readonly state?: Schema
  readonly input?: Schema
  readonly timeout?: Duration
}

// As from JavaScript: whether steps fit together is for the tests of types.
const define = defineWorkflow as (options: unknown) => WorkflowDefinition

let count = 0

/** A workflow with a name of its own, of steps whose types do not matter. */
export function workflowOf(steps: readonly WorkflowNode[], options: Options = {}): HasDefinition {
  count += 1
  return { definition: define({ name: `Workflow ${count}`, ...options, steps }) }
}

/** What a test sees of a run. */
export interface Seen extends RunResult {
  /** `STEP_STARTED gather/web`, one for each event. */
  readonly lines: readonly string[]
}

/** A run as it is now. */
export async function seen(kern: Kern, runId: string): Promise<Seen> {
  const run = await kern.getRun(runId)
  if (!run) throw new Error(`run ${runId} is not there`)
  return { ...run, lines: await eventLines(kern, runId) }
}

/** Starts a run, and resolves with its id. */
export async function start(
  kern: Kern,
  { definition: { id } }: HasDefinition,
  options: RunOptions = {},
): Promise<string> {
  const { input, ...request } = options
  // Whether it is JSON is checked by the command.
  const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { ...request, workflowId: id, input: input as null })
  return runId
}

/** Resolves with the run once it has had this event: `RUN_PAUSED`, `STEP_STARTED gather/web`. */
export async function after(kern: Kern, runId: string, line: string): Promise<Seen> {
  for await (const { type, stepPath } of await kern.streams.run(SYSTEM_VIEWER, { runId })) {
    if (line === type || line === `${type} ${stepPath}`) return await seen(kern, runId)
  }
  throw new Error(`the run ended without ${line}: ${JSON.stringify((await seen(kern, runId)).error)}`)
}

/** Resolves with the run once it is over. */
export async function ended(kern: Kern, runId: string): Promise<Seen> {
  for await (const _event of await kern.streams.run(SYSTEM_VIEWER, { runId }));
  return await seen(kern, runId)
}

/** Runs steps as a workflow to their end, or until they wait for a person. */
export async function execute(
  database: Database,
  steps: readonly WorkflowNode[],
  { options, settings, ...given }: RunOptions & { readonly options?: Options; readonly settings?: KernSettings } = {},
): Promise<Seen> {
  const workflow = workflowOf(steps, options)
  const kern = await startKern(database, [workflow], settings)
  const { runId } = await kern.run(workflow.definition.id, given)
  return await seen(kern, runId)
}

/** Resolves when a signal aborts, with the reason. */
export async function aborted(signal: AbortSignal): Promise<unknown> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  return signal.reason
}

/** A step that holds its run up until the process stops; when it is tried again it passes its input on. */
export function createBreak<const Name extends string>(name: Name) {
  const reached = Promise.withResolvers<void>()
  const node = step(name, async ({ attempt, signal, input }: StepContext) => {
    if (attempt > 1) return input
    reached.resolve()
    throw await aborted(signal)
  })
  return { node, reached: reached.promise }
}

/** Stops a Kern in the middle of a run, and lets another one on the same database end it. */
export async function acrossRestart(
  database: Database,
  workflow: HasDefinition,
  { reached, ...options }: RunOptions & { readonly reached: Promise<void> },
): Promise<Seen> {
  const first = await startKern(database, [workflow])
  const runId = await start(first, workflow, options)
  await reached
  await first.close()
  const second = await startKern(database, [workflow])
  return await ended(second, runId)
}

/** Bodies that meet: the first ones wait until there are `size`, and `most` is how many there were at the same time. */
export function createCrowd(size: number) {
  const full = Promise.withResolvers<void>()
  let present = 0
  const crowd = {
    most: 0,
    async visit(): Promise<number> {
      present += 1
      crowd.most = Math.max(crowd.most, present)
      if (present === size) full.resolve()
      await full.promise
      present -= 1
      return present
    },
  }
  return crowd
}

/** A step that runs until its signal aborts: what it does to the state, and what it returns, must not be kept. */
export function createPatient<const Name extends string>(name: Name) {
  const reached = Promise.withResolvers<void>()
  const reasons: unknown[] = []
  const node = step(name, async ({ signal, setState }: StepContext) => {
    setState({ [name]: 'not kept' })
    reached.resolve()
    reasons.push(await aborted(signal))
    return 'not kept'
  })
  return { node, reached: reached.promise, reasons }
}

/** The lines of a run that begin with a type of event: the paths of its steps. */
export function pathsOf({ lines }: Seen, type: RunEventType): string[] {
  return lines.filter((line) => line.startsWith(`${type} `)).map((line) => line.slice(type.length + 1))
}
