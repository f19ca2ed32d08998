import { PothosValidationError } from '@pothos/core'
import { describe, expect, test } from 'vitest'
import { forClients } from '../../schema/errors.ts'
import { decodeGlobalId } from '../../schema/globalId.ts'
import type { UpdateSessionRequest } from '../../src/engine/api.ts'
import { KernError, type KernErrorCode, type KernErrorDetails } from '../../src/errors.ts'
import { memoryContext, run, runIdOf, runRecord, sessionRecord, type World } from './support.ts'

const RUN_WORKFLOW = `mutation {
  runWorkflow(input: { workflowId: "pipeline" }) {
    __typename
    ... on RunPayload { run { runId } edge { cursor node { runId } } }
    ... on Error { code message }
    ... on InputInvalidError { issues { path message } }
    ... on ConflictError { busyWith: run { runId } session { sessionId } }
    ... on LimitExceededError { limit retryAfterMs }
  }
}`

function refusing(code: KernErrorCode, details: KernErrorDetails = {}, world: World = {}) {
  const runWorkflow = () => Promise.reject(new KernError(code, 'why', details))
  return memoryContext({ ...world, commands: { runWorkflow } })
}

describe('a mutation', () => {
  test('answers with the run and its edge in the default order', async () => {
    const { context } = memoryContext({ commands: { runWorkflow: async () => runRecord(1) } })
    const { data } = await run(RUN_WORKFLOW, { context })
    expect(data?.['runWorkflow']).toEqual({
      __typename: 'RunPayload',
      run: { runId: runIdOf(1) },
      edge: { cursor: `cursor of ${runIdOf(1)}`, node: { runId: runIdOf(1) } },
    })
  })

  const world = { runs: [runRecord(1)], sessions: [sessionRecord('s1')] }
  const issues = [{ path: ['input', 'topic'], message: 'is missing' }]
  const limits = { limit: 5, retryAfterMs: 1_000 }
  test.each<[KernErrorCode, string, KernErrorDetails, object]>([
    ['NOT_FOUND', 'NotFoundError', {}, {}],
    ['FORBIDDEN', 'ForbiddenError', {}, {}],
    ['INPUT_INVALID', 'InputInvalidError', {}, { issues: [] }],
    ['INPUT_INVALID', 'InputInvalidError', { issues }, { issues }],
    ['CONFLICT', 'ConflictError', {}, { busyWith: null, session: null }],
    [
      'CONFLICT',
      'ConflictError',
      { runId: runIdOf(1), sessionId: 's1' },
      { busyWith: { runId: runIdOf(1) }, session: { sessionId: 's1' } },
    ],
    ['LIMIT_EXCEEDED', 'LimitExceededError', { limit: 5 }, { limit: 5, retryAfterMs: null }],
    ['LIMIT_EXCEEDED', 'LimitExceededError', limits, limits],
  ])('answers %s with a %s', async (code, __typename, details, fields) => {
    const { data, errors } = await run(RUN_WORKFLOW, refusing(code, details, world))
    expect(errors).toBeUndefined()
    expect(data?.['runWorkflow']).toEqual({ __typename, code, message: 'why', ...fields })
  })

  test.each<KernErrorCode>(['UNAVAILABLE', 'INTERNAL', 'LIMIT_EXCEEDED'])(
    'throws %s, which is no member of its union or says no limit',
    async (code) => {
      const { errors } = await run(RUN_WORKFLOW, refusing(code))
      expect(errors?.[0]?.originalError).toMatchObject({ code })
    },
  )

  test('throws a conflict where its union has none', async () => {
    const setSessionName = () => Promise.reject(new KernError('CONFLICT', 'why'))
    const { errors } = await run(
      'mutation { setSessionName(input: { sessionId: "s1", autogenerate: true }) { __typename } }',
      memoryContext({ commands: { setSessionName } }),
    )
    expect(errors?.[0]?.originalError).toMatchObject({ code: 'CONFLICT' })
  })

  test('throws what is no KernError', async () => {
    const runWorkflow = () => Promise.reject(new TypeError('a bug'))
    const { errors } = await run(RUN_WORKFLOW, memoryContext({ commands: { runWorkflow } }))
    expect(errors?.[0]?.originalError).toBeInstanceOf(TypeError)
  })

  test('deletes a session and answers with its global id', async () => {
    const { context } = memoryContext({ commands: { deleteSession: async (_viewer, { sessionId }) => sessionId } })
    const { data } = await run(
      'mutation { deleteSession(input: { sessionId: "s1" }) { ... on DeletePayload { deletedId } } }',
      { context },
    )
    expect(decodeGlobalId(Object(data?.['deleteSession']).deletedId)).toEqual({ typename: 'Session', id: 's1' })
  })

  test('takes a null as not given, except the metadata of an update, which it removes', async () => {
    const requests: UpdateSessionRequest[] = []
    const { context } = memoryContext({
      commands: { updateSession: async (_viewer, request) => (requests.push(request), sessionRecord('s1')) },
    })
    const update = (fields: string) =>
      run(`mutation { updateSession(input: { sessionId: "s1" ${fields} }) { __typename } }`, { context })
    await update('')
    await update('metadata: null, tags: null, statePatch: null, expectedStateVersion: null')
    await update('metadata: { a: null }, tags: [], statePatch: { a: null }, expectedStateVersion: 0')
    expect(requests).toEqual([
      { sessionId: 's1' },
      { sessionId: 's1', metadata: null },
      { sessionId: 's1', metadata: { a: null }, tags: [], statePatch: { a: null }, expectedStateVersion: 0 },
    ])
    expect(requests.map((request) => request.metadata)).toEqual([undefined, null, { a: null }])
  })
})

describe('an error for clients', () => {
  test('carries the code of the KernError, and what a client acts on', () => {
    const details = { retryAfterMs: 50, limit: 5, runId: 'r1', cause: new Error('secret') }
    expect(forClients(new KernError('LIMIT_EXCEEDED', 'why', details))).toEqual({
      message: 'why',
      extensions: { code: 'LIMIT_EXCEEDED', retryAfterMs: 50, limit: 5 },
    })
    const issues = [{ path: ['a'], message: 'is missing' }]
    expect(forClients(new KernError('INPUT_INVALID', 'why', { issues }))?.extensions).toEqual({
      code: 'INPUT_INVALID',
      issues,
    })
  })

  test('has a code also where the library of the schema refuses an argument', () => {
    const error = new PothosValidationError('why')
    expect(forClients(error)).toEqual({ message: 'why', extensions: { code: 'INPUT_INVALID' } })
  })

  test('is null for a fault of the server', () => {
    expect(forClients(new KernError('INTERNAL', 'secret'))).toBeNull()
    expect(forClients(new TypeError('secret'))).toBeNull()
    expect(forClients('secret')).toBeNull()
  })
})
