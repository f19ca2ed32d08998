import { describe, expect, test } from 'vitest'
import type { Commands, ResumeRequest, RetryRequest } from '../../src/engine/api.ts'
import { KernError, type KernErrorCode } from '../../src/errors.ts'
import { memoryContext, run, runIdOf, runRecord, type World } from './support.ts'

const RUN = runIdOf(1)

/** The requests that the commands were given for these operations. */
async function asked(text: string, variables: Record<string, unknown> = {}): Promise<(ResumeRequest | RetryRequest)[]> {
  const requests: (ResumeRequest | RetryRequest)[] = []
  const take = async (_viewer: unknown, request: ResumeRequest | RetryRequest) => {
    requests.push(request)
    return runRecord(1)
  }
  const { context } = memoryContext({ commands: { resumeRun: take, retryRun: take } })
  const { errors } = await run(text, { context, variables })
  expect(errors).toBeUndefined()
  return requests
}

const resume = (fields: string) => `mutation { resumeRun(input: { runId: "${RUN}" ${fields} }) { __typename } }`
const retry = (fields: string) => `mutation { retryRun(input: { runId: "${RUN}" ${fields} }) { __typename } }`

describe('resumeRun', () => {
  test.each<[string, object]>([
    ['', { action: 'CONTINUE' }],
    ['data: { region: "EU" }', { data: { region: 'EU' }, action: 'CONTINUE' }],
    ['stepPath: "a[2]/b", data: false', { stepPath: 'a[2]/b', data: false, action: 'CONTINUE' }],
    ['stepPath: null, action: null, data: 0', { data: 0 }],
    // Null is an answer where one is asked for, whoever says what is to be done.
    ['data: null', { data: null, action: 'CONTINUE' }],
    ['data: null, action: null', { data: null }],
    // A failure is answered without data, and a client that always sends the field sends null.
    ['data: null, action: RETRY', { action: 'RETRY' }],
    ['action: SKIP', { action: 'SKIP' }],
    ['data: 1, action: FAIL', { data: 1, action: 'FAIL' }],
  ])('with %j hands over what was given', async (fields, request) => {
    const [given, ...more] = await asked(resume(fields))
    expect(more).toEqual([])
    expect(defined(given)).toEqual({ runId: RUN, ...request })
  })

  test('tells data that a variable leaves out from null', async () => {
    const text = `mutation ($data: JSON) { resumeRun(input: { runId: "${RUN}", data: $data }) { __typename } }`
    expect(defined((await asked(text))[0])).toEqual({ runId: RUN, action: 'CONTINUE' })
    expect(defined((await asked(text, { data: null }))[0])).toEqual({ runId: RUN, action: 'CONTINUE', data: null })
  })
})

describe('retryRun', () => {
  test.each<[string, object]>([
    ['', {}],
    ['fromStep: null', {}],
    ['fromStep: "a[2]/b"', { fromStep: 'a[2]/b' }],
    ['input: { topic: "tea" }', { input: { topic: 'tea' } }],
    ['input: null', { input: null }],
  ])('with %j hands over what was given', async (fields, request) => {
    const [given] = await asked(retry(fields))
    expect(defined(given)).toEqual({ runId: RUN, ...request })
  })

  test('tells an input that is left out, which stays as it was, from null, in every way to give it', async () => {
    const inner = `mutation ($input: JSON) { retryRun(input: { runId: "${RUN}", input: $input }) { __typename } }`
    const whole = 'mutation ($all: RetryRunInput!) { retryRun(input: $all) { __typename } }'
    const stays = [await asked(inner), await asked(whole, { all: { runId: RUN } })].flat()
    expect(stays.map(defined)).toEqual([{ runId: RUN }, { runId: RUN }])
    const nulls = [
      await asked(inner, { input: null }),
      await asked(whole, { all: { runId: RUN, input: null } }),
      await asked(inner.replace('JSON)', 'JSON = null)')),
    ].flat()
    expect(nulls.map(defined)).toEqual(Array.from({ length: 3 }, () => ({ runId: RUN, input: null })))
  })
})

/** Without the keys that are undefined, which mean "not given". */
function defined(request: object | undefined): object {
  return Object.fromEntries(Object.entries(request ?? {}).filter(([, value]) => value !== undefined))
}

const MUTATIONS = ['resumeRun', 'retryRun', 'cancelRun'] as const satisfies readonly (keyof Commands)[]

describe.each(MUTATIONS)('%s', (name) => {
  const text = `mutation { answer: ${name}(input: { runId: "${RUN}" }) {
    __typename
    ... on RunPayload { run { runId status } edge { cursor node { runId } } }
    ... on Error { code message }
    ... on InputInvalidError { issues { path message } }
    ... on ConflictError { conflict: run { runId } session { sessionId } }
  } }`
  const ask = (command: () => Promise<ReturnType<typeof runRecord>>, world: World = {}) =>
    run(text, memoryContext({ ...world, commands: { [name]: command } }))

  test('answers with the run and its place in the default order', async () => {
    const { data } = await ask(async () => runRecord(1, { status: 'RUNNING' }))
    expect(data?.['answer']).toEqual({
      __typename: 'RunPayload',
      run: { runId: RUN, status: 'RUNNING' },
      edge: { cursor: `cursor of ${RUN}`, node: { runId: RUN } },
    })
  })

  const issues = [{ path: ['data', 'approved'], message: 'is missing' }]
  test.each<[KernErrorCode, string, object]>([
    ['NOT_FOUND', 'NotFoundError', {}],
    ['FORBIDDEN', 'ForbiddenError', {}],
    ['INPUT_INVALID', 'InputInvalidError', { issues }],
    ['CONFLICT', 'ConflictError', { conflict: { runId: RUN }, session: null }],
  ])('answers %s with a %s', async (code, __typename, fields) => {
    const error = new KernError(code, 'why', { runId: RUN, issues })
    const { data, errors } = await ask(() => Promise.reject(error), { runs: [runRecord(1)] })
    expect(errors).toBeUndefined()
    expect(data?.['answer']).toEqual({ __typename, code, message: 'why', ...fields })
  })

  test.each<KernErrorCode>(['UNAVAILABLE', 'VALUE_TOO_LARGE', 'INTERNAL'])(
    'throws %s, which is no member of its union',
    async (code) => {
      const { errors } = await ask(() => Promise.reject(new KernError(code, 'why')))
      expect(errors?.[0]?.originalError).toMatchObject({ code })
    },
  )
})

test.each([
  ['resumeRun', 'stepPath'],
  ['retryRun', 'fromStep'],
])('%s refuses text that no row can hold in %s', async (name, field) => {
  const text = `mutation { answer: ${name}(input: { runId: "${RUN}", ${field}: "a\\u0000" }) {
    ... on InputInvalidError { issues { path } } } }`
  const { data } = await run(text, memoryContext())
  expect(data?.['answer']).toEqual({ issues: [{ path: [field] }] })
})
