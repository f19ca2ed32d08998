import { type DocumentNode, execute, type ExecutionResult, parse, subscribe, validate } from 'graphql'
import { z } from 'zod'
import { createLoaders, type KernContext } from '../../schema/context.ts'
import { createSchema } from '../../schema/index.ts'
import type { Commands, EventStreams, Workflows } from '../../src/engine/api.ts'
import { encodeEventCursor } from '../../src/engine/cursor.ts'
import type { Page, PageRequest, Reader, RunFilter, StepKey } from '../../src/engine/reader.ts'
import type { EventRecord, RunPayload, RunRecord, SessionRecord, StepRecord } from '../../src/engine/records.ts'
import type { WorkflowDefinition } from '../../src/workflow/definition.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
import { plainRun, plainStep } from '../support/records.ts'

const AT = new Date('2024-11-19T14:30:00.000Z')

/** A run id that ends in this number. */
export const runIdOf = (n: number): string => `01934567-89ab-7def-8123-${String(n).padStart(12, '0')}`

export const pipeline = defineWorkflow({
  name: 'Pipeline',
  description: 'Reads, then writes',
  input: z.object({ topic: z.string() }),
  steps: [
    step({ name: 'read', retry: { maxAttempts: 3 }, timeout: '30s', addWorkflowHistory: false, run: () => 'text' }),
    sequence('finish', [step({ name: 'write', output: z.object({ pages: z.number() }), run: () => ({ pages: 1 }) })]),
  ],
  addWorkflowHistoryToSteps: true,
})

export function sessionRecord(sessionId: string, given: Partial<SessionRecord> = {}): SessionRecord {
  return {
    sessionId,
    workflowId: 'pipeline',
    workflowName: 'Pipeline',
    userId: null,
    name: null,
    nameSource: null,
    displayName: 'New Pipeline session',
    state: {},
    stateVersion: 0,
    workflowData: {},
    metadata: undefined,
    tags: [],
    runCount: 0,
    activeRunId: null,
    lastRunId: null,
    createdAt: AT,
    updatedAt: AT,
    ...given,
  }
}

export function runRecord(n: number, given: Partial<RunRecord> = {}): RunRecord {
  return {
    ...plainRun,
    runId: runIdOf(n),
    sessionId: 's1',
    number: n,
    workflowId: 'pipeline',
    workflowName: 'Pipeline',
    status: 'COMPLETED',
    lastSeq: 3,
    createdAt: AT,
    startedAt: new Date(AT.getTime() + 5),
    completedAt: new Date(AT.getTime() + 25),
    durationMs: 20,
    ...given,
  }
}

export function stepRecord(runId: string, path: string, given: Partial<StepRecord> = {}): StepRecord {
  return {
    ...plainStep,
    runId,
    path,
    position: 0,
    parentPath: null,
    name: path,
    status: 'COMPLETED',
    inputFrom: 'own',
    attempts: [],
    startedAt: AT,
    completedAt: null,
    ...given,
  }
}

export function eventRecord(runId: string, seq: number, given: Partial<EventRecord> = {}): EventRecord {
  return { runId, seq, type: 'LOG', at: AT, stepPath: null, name: null, data: undefined, ...given }
}

/** What stands in the memory of a test. */
export interface World {
  readonly sessions?: readonly SessionRecord[]
  readonly runs?: readonly RunRecord[]
  readonly payloads?: readonly RunPayload[]
  readonly steps?: readonly StepRecord[]
  readonly events?: readonly EventRecord[]
  readonly commands?: Partial<Commands>
  readonly streams?: Partial<EventStreams>
  /** @default the pipeline above */
  readonly workflows?: readonly WorkflowDefinition[]
}

/** A context over arrays, and the names of the reader's methods in the order in which they were called. */
export function memoryContext(world: World = {}): { readonly context: KernContext; readonly calls: string[] } {
  const calls: string[] = []
  const reader = counted(memoryReader(world), calls)
  const served = world.workflows ?? [pipeline]
  const workflows: Workflows = { list: () => served, get: (id) => served.find((definition) => definition.id === id) }
  const context: KernContext = {
    viewer: { userId: 'ann', scopes: ['*'] },
    reader,
    commands: complete<Commands>(world.commands),
    workflows,
    streams: complete<EventStreams>({ partialOutput: () => undefined, ...world.streams }),
    loaders: createLoaders(reader),
  }
  return { context, calls }
}

/** A part of which the test uses only what it gives. */
function complete<Part extends object>(given: Partial<Part> = {}): Part {
  const absent = (_target: unknown, name: string | symbol): never => {
    throw new Error(`${String(name)} is not part of this test`)
  }
  // The proxy answers for every name that is not given.
  return Object.setPrototypeOf({ ...given }, new Proxy({}, { get: absent })) as Part
}

function counted(reader: Reader, calls: string[]): Reader {
  return new Proxy(reader, {
    get: (target, name, receiver) => {
      const method: unknown = Reflect.get(target, name, receiver)
      if (typeof method !== 'function') return method
      return (...args: unknown[]): unknown => {
        calls.push(String(name))
        return Reflect.apply(method, target, args)
      }
    },
  })
}

function memoryReader({ sessions = [], runs = [], payloads = [], steps = [], events = [] }: World): Reader {
  const run = (runId: string) => runs.find((record) => record.runId === runId) ?? null
  const matching = (filter: RunFilter, sessionId = filter.sessionId) =>
    runs.filter((record) => (sessionId ?? record.sessionId) === record.sessionId)
  const stepOf = (key: StepKey) => steps.find(({ runId, path }) => runId === key.runId && path === key.path) ?? null
  return {
    sessions: async (ids) => ids.map((id) => sessions.find(({ sessionId }) => sessionId === id) ?? null),
    sessionPage: async (_filter, _order, page) => pageOf(sessions, page, ({ sessionId }) => sessionId),
    sessionCount: async () => sessions.length,
    runs: async (ids) => ids.map(run),
    runPage: async (filter, _order, page) => pageOf(matching(filter), page, ({ runId }) => runId),
    runCount: async (filter) => matching(filter).length,
    runPagesOfSessions: async (ids, filter, _order, page) =>
      ids.map((id) => pageOf(matching(filter, id), page, ({ runId }) => runId)),
    runCountsOfSessions: async (ids, filter) => ids.map((id) => matching(filter, id).length),
    payloads: async (ids) => ids.map((id) => payloads.find(({ runId }) => runId === id) ?? null),
    queuePositions: async (ids) => ids.map((id) => (run(id)?.status === 'QUEUED' ? 1 : null)),
    retries: async (ids) => ids.map((id) => runs.filter(({ retryOf }) => retryOf === id)),
    steps: async (ids) => ids.map((id) => steps.filter(({ runId }) => runId === id)),
    stepSummaries: async (ids) => ids.map((id) => steps.filter(({ runId }) => runId === id)),
    stepsByPath: async (keys) => keys.map(stepOf),
    stepValues: async (keys) => keys.map(stepOf),
    events: async (runId, { afterSeq, limit, types }) =>
      events
        .filter((event) => event.runId === runId && event.seq > afterSeq && (types?.includes(event.type) ?? true))
        .slice(0, limit),
    sessionEvents: async () => ({ events: [], queued: [], upTo: null, more: false }),
    completedRuns: async () => [],
    sessionCursor: ({ sessionId }) => `cursor of ${sessionId}`,
    runCursor: ({ runId }) => `cursor of ${runId}`,
    liveRuns: async () => [],
    lastSeqs: async () => new Map(),
    sessionMarks: async () => new Map(),
  }
}

function pageOf<Item>(all: readonly Item[], page: PageRequest, cursorOf: (item: Item) => string): Page<Item> {
  const from = page.after === null ? 0 : all.findIndex((item) => cursorOf(item) === page.after) + 1
  const items = all.slice(from, from + page.limit)
  return {
    items: items.map((item) => ({ cursor: cursorOf(item), item })),
    hasNextPage: from + items.length < all.length,
    hasPreviousPage: from > 0,
  }
}

export const schema = createSchema()

export interface Operation {
  readonly context: KernContext
  readonly variables?: Record<string, unknown>
}

/** Executes a document that must be valid. */
export async function run(text: string, { context, variables = {} }: Operation): Promise<ExecutionResult> {
  return execute({ schema, document: valid(text), contextValue: context, variableValues: variables })
}

/** Every answer of a subscription, or the one with the errors that kept it from starting. */
export async function streamed(text: string, { context, variables = {} }: Operation): Promise<ExecutionResult[]> {
  const answers = await subscribe({ schema, document: valid(text), contextValue: context, variableValues: variables })
  return Symbol.asyncIterator in answers ? collect(answers) : [answers]
}

function valid(text: string): DocumentNode {
  const document = parse(text)
  const [fault] = validate(schema, document)
  if (fault) throw fault
  return document
}

export const cursorOf = (n: number, seq: number): string => encodeEventCursor({ runId: runIdOf(n), seq })

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}
