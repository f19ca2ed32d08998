import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { createGate, type Gate } from '../support/kerns.ts'
import { type Answer, data, onEachServer, type Served, type Watch, WATCHES } from '../support/server.ts'

const Named = z.object({ name: z.string() })

/** Where a drawing waits: before it shows anything, and after it has shown a part. */
interface Drawing {
  readonly watched: Gate
  readonly shown: Gate
}

const drawings = new Map<string, Drawing>()

function drawingOf(name: string): Drawing {
  const drawing = drawings.get(name) ?? { watched: createGate(), shown: createGate() }
  drawings.set(name, drawing)
  return drawing
}

const draw = step({
  name: 'draw',
  input: Named,
  run: async function* ({ input, signal }: StepContext<{ name: string }>) {
    const { watched, shown } = drawingOf(input.name)
    await watched.pass()
    yield { percent: 50 }
    await Promise.race([shown.pass(), new Promise((resolve) => signal.addEventListener('abort', resolve))])
    return { percent: 100 }
  },
})

const drawing = defineWorkflow({ name: 'Drawing', input: Named, steps: [draw] })

interface Event {
  readonly id: string
  readonly type: string
  readonly seq: number
  readonly cursor: string
  readonly data: unknown
  readonly step: { readonly path: string; readonly status: string; readonly partialOutput: unknown } | null
}

const RUN_EVENTS = `subscription ($runId: ID!, $after: String) {
  event: runEvents(runId: $runId, after: $after) { id type seq cursor data step { path status partialOutput } } }`

function eventIn({ data: given, errors }: Answer<{ readonly event: Event }>): Event {
  if (errors || !given) throw new Error(JSON.stringify(errors))
  return given.event
}

let names = 0

async function startDrawing(served: Served) {
  const name = `drawing ${++names}`
  const { runWorkflow } = await data<{ runWorkflow: { run: { runId: string } } }>(
    served,
    `mutation { runWorkflow(input: { workflowId: "drawing", input: { name: "${name}" } }) {
       ... on RunPayload { run { runId } } } }`,
  )
  return { runId: runWorkflow.run.runId, ...drawingOf(name) }
}

const cancel = (served: Served, runId: string) =>
  data(served, `mutation { cancelRun(input: { runId: "${runId}" }) { __typename } }`)

onEachServer(
  () => ({ workflows: [{ definition: drawing }] }),
  (served) => {
    describe.each(WATCHES)('over %s', (_name, watch: Watch) => {
      test('what a step puts out is told between its start and its end, and is not stored', async () => {
        const { runId, watched, shown } = await startDrawing(served())
        const events: Event[] = []
        const variables = { runId }
        for await (const answer of watch<{ event: Event }>(served(), { query: RUN_EVENTS, variables })) {
          const event = eventIn(answer)
          events.push(event)
          if (event.type === 'STEP_STARTED') watched.open()
          if (event.type === 'STEP_PROGRESS') shown.open()
        }
        const told = ['STEP_STARTED', 'STEP_PROGRESS', 'STEP_COMPLETED', 'RUN_COMPLETED']
        expect(events.map(({ type }) => type)).toEqual(['RUN_QUEUED', 'RUN_STARTED', ...told])
        const [, , started, progress, completed, ended] = events
        expect(progress).toMatchObject({
          seq: started?.seq,
          cursor: started?.cursor,
          data: { percent: 50 },
          step: { path: 'draw', status: 'RUNNING', partialOutput: { percent: 50 } },
        })
        expect(completed?.step).toEqual({ path: 'draw', status: 'COMPLETED', partialOutput: null })

        const resumed: Event[] = []
        const after = progress?.cursor
        for await (const answer of watch<{ event: Event }>(served(), {
          query: RUN_EVENTS,
          variables: { runId, after },
        })) {
          resumed.push(eventIn(answer))
        }
        expect(resumed).toEqual([completed, ended])

        const stored = await data(
          served(),
          `query ($id: ID!) {
             run(runId: "${runId}") { events(types: [STEP_PROGRESS]) { nodes { seq } } }
             node(id: $id) { id }
           }`,
          { id: progress?.id },
        )
        expect(stored).toEqual({ run: { events: { nodes: [] } }, node: null })
      })

      test('a stream of finished steps tells no progress', async () => {
        const { runId, watched, shown } = await startDrawing(served())
        await watched.reached
        watched.open()
        shown.open()
        const types: string[] = []
        const query = `subscription { event: stepCompleted(runId: "${runId}") { type } }`
        for await (const answer of watch<{ event: Event }>(served(), { query })) types.push(eventIn(answer).type)
        expect(types).toEqual(['STEP_COMPLETED'])
      })
    })

    test('what a step had put out when its run was cancelled is kept', async () => {
      const { runId, watched } = await startDrawing(served())
      const types: string[] = []
      const variables = { runId }
      for await (const answer of WATCHES[0][1]<{ event: Event }>(served(), { query: RUN_EVENTS, variables })) {
        const { type } = eventIn(answer)
        types.push(type)
        if (type === 'STEP_STARTED') watched.open()
        if (type === 'STEP_PROGRESS') await cancel(served(), runId)
      }
      expect(types.slice(2)).toEqual(['STEP_STARTED', 'STEP_PROGRESS', 'STEP_CANCELLED', 'RUN_CANCELLED'])
      const { run } = await data<{ run: unknown }>(
        served(),
        `{ run(runId: "${runId}") { status steps { path status output partialOutput } } }`,
      )
      expect(run).toEqual({
        status: 'CANCELLED',
        steps: [{ path: 'draw', status: 'CANCELLED', output: null, partialOutput: { percent: 50 } }],
      })
    })
  },
)
