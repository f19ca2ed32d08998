import type { StreamedEvent } from '../src/engine/api.ts'
import { decodeEventCursor, encodeEventCursor } from '../src/engine/cursor.ts'
import type { EventRecord, RunEventType } from '../src/engine/records.ts'
import { KernError, shown } from '../src/errors.ts'
import { isUuid } from '../src/ids.ts'
import type { Builder } from './builder.ts'
import type { KernContext } from './context.ts'
import { isGiven } from './filters.ts'
import { eventKey, readEventKey } from './globalId.ts'
import type { Connection } from './models.ts'
import { connectionOf, pageSize } from './paging.ts'
import { runOf } from './step.ts'

/** Adds `RunEvent`, the events of a run, and the subscriptions. */
export function addEvent(builder: Builder): void {
  addEventType(builder)
  builder.objectField('Run', 'events', (t) =>
    t.field({
      type: 'RunEventConnection',
      description: 'What happened so far, in order of `seq`.',
      args: {
        first: t.arg.int({ description: 'How many, 1 to 100. Null: 20.' }),
        after: t.arg.string({
          description: 'The cursor of an event of this run: only later ones. Null: from the first.',
        }),
        types: t.arg({
          type: ['RunEventType'],
          description: 'Only these. Null or empty: all. There is no STEP_PROGRESS among them: it is not stored.',
        }),
      },
      resolve: ({ runId }, args, { reader }) => eventConnection(reader, runId, args),
    }),
  )
  addStepCompleted(builder)
  addRunEvents(builder)
  addSessionEvents(builder)
}

interface EventListArgs {
  readonly first?: number | null | undefined
  readonly after?: string | null | undefined
  readonly types?: readonly RunEventType[] | null | undefined
}

/** @throws KernError INPUT_INVALID, CURSOR_INVALID */
async function eventConnection(
  reader: KernContext['reader'],
  runId: string,
  { first, after, types }: EventListArgs,
): Promise<Connection<EventRecord>> {
  const limit = pageSize('first', first)
  const afterSeq = isGiven(after) ? seqOf(runId, after) : 0
  // One more than asked for tells whether there is a next page.
  const found = await reader.events(runId, { afterSeq, limit: limit + 1, types: listed(types) })
  return connectionOf({
    items: found.slice(0, limit).map((item) => ({ cursor: encodeEventCursor(item), item })),
    hasNextPage: found.length > limit,
    hasPreviousPage: afterSeq > 0,
  })
}

function seqOf(runId: string, after: string): number {
  const cursor = decodeEventCursor(after)
  if (cursor.runId !== runId) {
    throw new KernError(
      'CURSOR_INVALID',
      `after is ${shown(after)}, of the run ${cursor.runId}: allowed are cursors of the run ${runId}`,
    )
  }
  return cursor.seq
}

function listed(types: readonly RunEventType[] | null | undefined): readonly RunEventType[] | null {
  return types?.length ? types : null
}

function addEventType(builder: Builder): void {
  builder.node('RunEvent', {
    description:
      'Something that happened in a run. All events of one step that are STEP_PROGRESS, which is not stored, have one `id`, ' +
      'by which `node` finds nothing.',
    id: { resolve: eventKey },
    loadWithoutCache: async (id, context) => {
      const key = readEventKey(id)
      return key && loadEvent(key, context)
    },
    fields: (t) => ({
      cursor: t.string({
        description:
          'The place of the event: give it as `after` to get what comes later. That of STEP_PROGRESS is the place of the ' +
          'newest event before it: nothing that comes later is left out. That of a RUN_QUEUED which `sessionEvents` gives ' +
          'before its turn is good for that subscription alone.',
        resolve: (event) => encodeEventCursor(event.resume ?? event),
      }),
      seq: t.exposeInt('seq', {
        description:
          '1, 2, 3 … within the run, without gaps. Of STEP_PROGRESS, which has no place of its own: that of the newest event ' +
          'before it.',
      }),
      type: t.expose('type', { type: 'RunEventType', description: 'What happened.' }),
      at: t.expose('at', { type: 'DateTime', description: 'When it happened.' }),
      run: t.field({
        type: 'Run',
        description: 'The run as of this event, or newer.',
        resolve: async (event, _args, context) => runOf(event, context),
      }),
      step: t.field({
        type: 'StepResult',
        nullable: true,
        description: 'The step as of this event, or newer; null if the event is of the run as a whole.',
        resolve: ({ runId, stepPath }, _args, { loaders }) =>
          stepPath === null ? null : loaders.step({ runId, path: stepPath }),
      }),
      name: t.exposeString('name', {
        nullable: true,
        description: 'The name that the author gave to an event of their own; null for other types.',
      }),
      data: t.field({
        type: 'JSON',
        nullable: true,
        description: 'What belongs to the event, by its type; null if nothing does.',
        resolve: ({ data }) => data ?? null,
      }),
    }),
  })
}

/** An event of a run that the viewer may see. */
async function loadEvent(
  { runId, seq }: { readonly runId: string; readonly seq: number },
  { reader }: KernContext,
): Promise<EventRecord | null> {
  const [event] = await reader.events(runId, { afterSeq: seq - 1, limit: 1, types: null })
  return event ?? null
}

function addRunEvents(builder: Builder): void {
  builder.subscriptionField('runEvents', (t) =>
    t.field({
      type: 'RunEvent',
      description:
        'What happens in a run: first what came after the cursor, then live, and with it STEP_PROGRESS, which is live only. ' +
        'Ends after the final event, whatever `types` are asked for.',
      args: {
        runId: t.arg.id({ required: true, description: 'The `runId` of the run.' }),
        after: t.arg.string({
          description: "The cursor of an event, or the run's `lastCursor`. Null: from the first event.",
        }),
        types: t.arg({ type: ['RunEventType'], description: 'Only these. Null or empty: all.' }),
      },
      subscribe: (_root, { runId, after, types }, { streams, viewer }) => {
        if (!isUuid(runId)) throw unknown('run', runId)
        return streams.run(viewer, { runId, after, types: listed(types) })
      },
      resolve: (event) => event,
    }),
  )
}

function addSessionEvents(builder: Builder): void {
  builder.subscriptionField('sessionEvents', (t) =>
    t.field({
      type: 'RunEvent',
      description:
        'What happens in all runs of a session: first what came after the cursor, then live, and with it STEP_PROGRESS, ' +
        'which is live only. Run after run, in order of `number`; only RUN_QUEUED of a run that has to wait for its turn ' +
        'comes at once, between the events of the runs before it. Ends with NOT_FOUND if the session is deleted, else never.',
      args: {
        sessionId: t.arg.string({ required: true, description: 'The id of the session.' }),
        after: t.arg.string({
          description:
            'The cursor of an event of this subscription: exactly what came after it. That of any other event of the ' +
            'session, or a `lastCursor` of a run, stands for all runs up to that one: the cursor of a QUEUED run leaves out ' +
            'what the runs before it still do. One of a run that was deleted since is refused as CURSOR_EXPIRED. Null: ' +
            'from the first event of the session.',
        }),
      },
      subscribe: (_root, { sessionId, after }, { streams, viewer }) => streams.session(viewer, { sessionId, after }),
      resolve: (event) => event,
    }),
  )
}

function addStepCompleted(builder: Builder): void {
  builder.subscriptionField('stepCompleted', (t) =>
    t.field({
      type: 'RunEvent',
      description:
        'Each step that ends with an output, in one run (ends with it), in the runs of a session, or in those of a ' +
        'workflow (neither ends). Exactly one of the three ids.',
      args: {
        runId: t.arg.id({ description: 'The `runId` of the run. Null: not by run.' }),
        sessionId: t.arg.string({ description: 'The id of the session. Null: not by session.' }),
        workflowId: t.arg.string({ description: 'The id of the workflow. Null: not by workflow.' }),
        after: t.arg.string({
          description:
            'The cursor of an event: first what came after it. With `sessionId` runs stand in order of `number`: the ' +
            'cursor of a QUEUED run leaves out what the runs before it still do. ' +
            'One of a run that was deleted since is refused as CURSOR_EXPIRED. ' +
            'Not with `workflowId`, whose runs have no common order. ' +
            'Null: from the first event of the run or session, or live for a workflow.',
        }),
      },
      subscribe: (_root, args, context) => stepsCompleted(args, context),
      resolve: (event) => event,
    }),
  )
}

interface StepCompletedArgs {
  readonly runId?: string | null | undefined
  readonly sessionId?: string | null | undefined
  readonly workflowId?: string | null | undefined
  readonly after?: string | null | undefined
}

const STEP_COMPLETED: readonly RunEventType[] = ['STEP_COMPLETED']

/** @throws KernError INPUT_INVALID, CURSOR_INVALID, NOT_FOUND */
async function stepsCompleted(
  { runId, sessionId, workflowId, after }: StepCompletedArgs,
  { streams, viewer }: KernContext,
): Promise<AsyncIterable<StreamedEvent>> {
  const given = Object.entries({ runId, sessionId, workflowId }).filter(([, id]) => isGiven(id))
  if (given.length !== 1) {
    const names = given.map(([name, id]) => `${name} ${shown(id)}`).join(' and ') || 'none of them'
    throw new KernError('INPUT_INVALID', `given is ${names}: allowed is exactly one of runId, sessionId and workflowId`)
  }
  if (isGiven(runId)) {
    if (!isUuid(runId)) throw unknown('run', runId)
    return streams.run(viewer, { runId, after, types: STEP_COMPLETED })
  }
  if (isGiven(sessionId)) return streams.session(viewer, { sessionId, after, types: STEP_COMPLETED })
  if (isGiven(after)) {
    throw new KernError(
      'INPUT_INVALID',
      `after is ${shown(after)} beside workflowId: allowed is after with runId or sessionId only`,
    )
  }
  return streams.workflow(viewer, { workflowId: workflowId ?? '', types: STEP_COMPLETED })
}

function unknown(kind: string, id: string): KernError {
  return new KernError('NOT_FOUND', `there is no ${kind} ${shown(id)}`)
}
