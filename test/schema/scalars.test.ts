import fc from 'fast-check'
import { GraphQLError, parseValue } from 'graphql'
import { describe, expect, test } from 'vitest'
import { literalValue, parseDateTime } from '../../schema/scalars.ts'
import type { RunRequest } from '../../src/engine/api.ts'
import { memoryContext, run, runRecord, sessionRecord } from './support.ts'

const refused = expect.objectContaining({ extensions: { code: 'INPUT_INVALID' } })

describe('a DateTime', () => {
  test('is answered in UTC with milliseconds, and read back as the same moment', async () => {
    const at = new Date('2024-11-19T14:30:00.007Z')
    const { context } = memoryContext({ sessions: [sessionRecord('s1', { createdAt: at })] })
    const { data } = await run('{ session(sessionId: "s1") { createdAt } }', { context })
    expect(data).toEqual({ session: { createdAt: '2024-11-19T14:30:00.007Z' } })
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
        (date) => {
          expect(parseDateTime(date.toISOString())).toEqual(date)
        },
      ),
    )
  })

  test.each([
    ['2024-11-19T14:30:00Z', '2024-11-19T14:30:00.000Z'],
    ['2024-11-19T14:30:00.5Z', '2024-11-19T14:30:00.500Z'],
    ['2024-11-19t14:30:00.1239999z', '2024-11-19T14:30:00.123Z'],
    ['2024-11-19T14:30:00+01:30', '2024-11-19T13:00:00.000Z'],
    ['2024-12-31T23:30:00-00:45', '2025-01-01T00:15:00.000Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
  ])('%s is read as %s', (text, moment) => {
    expect(parseDateTime(text).toISOString()).toBe(moment)
  })

  test.each([
    '2024-11-19',
    '2024-11-19T14:30:00',
    '2024-11-19 14:30:00Z',
    '2024-11-19T14:30Z',
    '2024-11-19T14:30:00+0100',
    '2024-11-19T14:30:00+24:00',
    '2024-11-19T14:30:00.Z',
    '2024-11-19T24:00:00Z',
    '2024-11-19T14:60:00Z',
    '2024-11-19T14:30:60Z',
    '2023-02-29T00:00:00Z',
    '2024-13-01T00:00:00Z',
    '2024-00-10T00:00:00Z',
    '0000-06-01T00:00:00Z',
    '0001-01-01T00:00:00+01:00',
    '9999-12-31T23:59:59-01:00',
    ' 2024-11-19T14:30:00Z',
    1_732_026_600_000,
    null,
  ])('%j is refused with what is allowed', (value) => {
    expect(() => parseDateTime(value)).toThrow(refused)
    expect(() => parseDateTime(value)).toThrow(/allowed is RFC 3339 text with a zone/)
  })
})

describe('a JSON literal', () => {
  const read = (text: string, variables?: Record<string, unknown>) => literalValue(parseValue(text), variables)

  test('is the value that it says', () => {
    expect(read('{ a: [1, -2.5, 1e3, "t", true, null], b: {} }')).toEqual({
      a: [1, -2.5, 1000, 't', true, null],
      b: {},
    })
    expect(Object.is(read('-0'), -0)).toBe(true)
  })

  test('keeps a key named __proto__, so that it can be refused', () => {
    expect(Object.keys(Object(read('{ __proto__: { admin: true } }')))).toEqual(['__proto__'])
  })

  test('keeps every number that a double holds', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        fc.pre(!Number.isInteger(value) || Number.isSafeInteger(value))
        expect(read(Object.is(value, -0) ? '-0' : String(value))).toBe(value)
      }),
    )
  })

  test.each([
    '9007199254740991',
    '-9007199254740991',
    '9007199254740992.0',
    '1.50',
    '100e-2',
    '0.1',
    '1e300',
    '0e9',
    '5e-324',
  ])('may hold %s', (text) => expect(read(text)).toBe(Number(text)))

  test.each([
    '9007199254740992',
    '-9007199254740993',
    '123456789012345678901234567890',
    '9007199254740993.0',
    '0.12345678901234567890',
    '1e400',
    '1e-400',
    '{ a: [9007199254740993] }',
  ])('%s would lose something and is refused', (text) => {
    expect(() => read(text)).toThrow(refused)
  })

  test('refuses an enum value', () => {
    expect(() => read('{ a: FOO }')).toThrow('a JSON literal holds FOO')
  })

  test('holds the values of variables, and leaves out a key whose variable is not given', () => {
    const variables = { n: 1, list: [{ a: null }], at: new Date('2024-11-19T14:30:00Z') }
    expect(read('{ n: $n, l: [$list, $gone], g: $gone, at: $at }', variables)).toEqual({
      n: 1,
      l: [[{ a: null }], null],
      at: '2024-11-19T14:30:00.000Z',
    })
  })

  test('with variables arrives at the command as it was meant', async () => {
    const requests: RunRequest[] = []
    const { context } = memoryContext({
      commands: { runWorkflow: async (_viewer, request) => (requests.push(request), runRecord(1)) },
    })
    const { errors } = await run(
      `mutation ($topic: String!, $deep: JSON, $gone: Int) {
         runWorkflow(input: { workflowId: "pipeline", input: { topic: $topic, deep: [$deep], gone: $gone } }) { __typename }
       }`,
      { context, variables: { topic: 'AI', deep: { a: 1.5 } } },
    )
    expect(errors).toBeUndefined()
    expect(requests[0]?.input).toEqual({ topic: 'AI', deep: [{ a: 1.5 }] })
  })

  test('that would lose something is refused when the document is validated', async () => {
    const { context } = memoryContext()
    const document =
      'mutation { runWorkflow(input: { workflowId: "p", input: { n: 9007199254740993 } }) { __typename } }'
    await expect(run(document, { context })).rejects.toThrow(GraphQLError)
    await expect(run(document, { context })).rejects.toMatchObject({ extensions: { code: 'INPUT_INVALID' } })
  })
})
