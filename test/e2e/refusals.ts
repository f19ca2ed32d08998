import { expect } from 'vitest'
import type { Db } from '../../src/db/client.ts'
import { runEvents, runPayloads, runs, sessions, stepResults } from '../../src/db/tables.ts'
import { type Answer, ask, type Served } from '../support/server.ts'

/** How many rows there are of each kind. */
export async function rowCounts(db: Db): Promise<number[]> {
  return await Promise.all([sessions, runs, runPayloads, stepResults, runEvents].map((table) => db.$count(table)))
}

/** That there are as many rows as before, and that nothing was logged as a fault. */
export async function expectNothingStored({ database, lines }: Served, before: readonly number[]): Promise<void> {
  expect(await rowCounts(database.db)).toEqual(before)
  expect(lines.filter(({ level }) => level === 'error')).toEqual([])
}

/** How an answer says no: the codes of its errors, and of refusals among its data. */
export function refusalsIn(answer: Answer): unknown[] {
  const thrown = (answer.errors ?? []).map(({ extensions }) => extensions?.['code'])
  const members = Object.values(answer.data ?? {}).flatMap((value) => Object(value)['code'] ?? [])
  return [...thrown, ...members]
}

/** What to select of a result that is refused. */
export const REFUSAL = '__typename ... on Error { code message } ... on InputInvalidError { issues { path message } }'

/** The type of the input of each mutation. */
export const INPUTS: Readonly<Record<string, string>> = {
  runWorkflow: 'RunWorkflowInput',
  createSession: 'CreateSessionInput',
  updateSession: 'UpdateSessionInput',
  setSessionName: 'SetSessionNameInput',
  cancelRun: 'CancelRunInput',
  resumeRun: 'ResumeRunInput',
  retryRun: 'RetryRunInput',
  deleteSession: 'DeleteSessionInput',
}

/** Asks for a mutation with an input that need not be what its type says. */
export function mutate(served: Served, field: string, input: unknown): Promise<Answer> {
  const query = `mutation ($input: ${INPUTS[field]}!) { ${field}(input: $input) { ${REFUSAL} } }`
  return ask(served, query, { input: input as object }) // some of it is not what the type says
}

/** Arrays inside each other, as text. */
export function nested(levels: number): string {
  return `${'['.repeat(levels)}${']'.repeat(levels)}`
}

/** Sends a body as it is. */
export async function post({ url }: Served, body: string): Promise<Answer> {
  const headers = { 'content-type': 'application/json', accept: 'application/graphql-response+json' }
  const response = await fetch(url, { method: 'POST', headers, body })
  return (await response.json()) as Answer // what the server answers is what the tests look at
}
