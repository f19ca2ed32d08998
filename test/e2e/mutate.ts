import { data, type Served } from '../support/server.ts'
import type { createFlows } from './flows.ts'

const REFUSAL = `
  ... on Error { code message }
  ... on InputInvalidError { issues { path message } }`

// With names of their own, as the payloads have a run and a session that are never null.
const CONFLICT = '... on ConflictError { busyWith: run { runId status } inTheWay: session { sessionId } }'

const RUN = `... on RunPayload { run { runId number status queuePosition output stoppedBy tags metadata
    error { code message } session { sessionId name nameSource state userId } } edge { cursor node { runId } } } ${REFUSAL} ${CONFLICT}`

const SESSION = `... on SessionPayload { session { id sessionId name nameSource displayName userId state stateVersion
    metadata tags runCount } edge { cursor node { sessionId } } } ${REFUSAL}`

const FIELDS: Readonly<Record<string, readonly [input: string, selection: string]>> = {
  runWorkflow: ['RunWorkflowInput', RUN],
  cancelRun: ['CancelRunInput', RUN],
  setSessionName: ['SetSessionNameInput', SESSION],
  createSession: ['CreateSessionInput', `${SESSION} ${CONFLICT}`],
  updateSession: ['UpdateSessionInput', `${SESSION} ${CONFLICT}`],
  deleteSession: ['DeleteSessionInput', `... on DeletePayload { deletedId } ${REFUSAL} ${CONFLICT}`],
}

/** What a mutation answered: its payload, or its refusal. */
export interface Result {
  readonly __typename: string
  readonly code?: string
  readonly message?: string
  readonly issues?: readonly { readonly path: readonly string[] }[]
  readonly busyWith?: { readonly runId: string; readonly status: string } | null
  readonly session: Readonly<Record<string, unknown>> & { readonly sessionId: string }
  readonly run: Readonly<Record<string, unknown>> & {
    readonly runId: string
    readonly session: { readonly sessionId: string }
  }
  readonly edge: { readonly cursor: string }
  readonly inTheWay?: { readonly sessionId: string } | null
  readonly deletedId: string
}

/** Asks for a mutation, which must not be answered with errors. */
export async function mutate(served: Served, field: string, input: Record<string, unknown>): Promise<Result> {
  const [type, selection] = FIELDS[field] ?? ['', '']
  const query = `mutation ($input: ${type}!) { result: ${field}(input: $input) { __typename ${selection} } }`
  return (await data<{ result: Result }>(served, query, { input })).result
}

let names = 0
/** A name that no other test has. */
export const unique = (what: string): string => `${what} ${++names}`

type Flows = ReturnType<typeof createFlows>

/** A run that is held at a door of its own, and has got there. */
export async function startHeld(served: Served, flows: Flows, more: Record<string, unknown> = {}) {
  const name = unique('door')
  const door = flows.door(name)
  const result = await mutate(served, 'runWorkflow', { workflowId: 'held', input: { door: name }, ...more })
  await door.reached
  return { ...result.run, door }
}
