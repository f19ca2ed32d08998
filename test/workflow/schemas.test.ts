import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Schema } from '../../src/workflow/definition.ts'
import { jsonSchemaOf } from '../../src/workflow/jsonSchema.ts'
import { isSchema, validate, validateNow } from '../../src/workflow/schemaCheck.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { refusal, schemaOf } from './support.ts'

/** A schema whose validator does this, whatever the specification says. */
function validatorOf(check: (value: unknown) => unknown): Schema {
  const schema: unknown = { '~standard': { version: 1, vendor: 'test', validate: check } }
  if (!isSchema(schema)) throw new Error('not a schema')
  return schema
}

describe('validate', () => {
  test('accepts everything as it is without a schema', async () => {
    const value = { any: 1 }
    const result = await validate(null, value)
    expect(result).toEqual({ value })
    expect('value' in result && result.value).toBe(value)
  })

  test('gives what the schema gives: defaults and transforms', async () => {
    const schema = z.object({ topic: z.string().default('none'), n: z.string().transform(Number) })
    expect(await validate(schema, { n: '5' })).toEqual({ value: { topic: 'none', n: 5 } })
  })

  test('waits for a validator that answers later', async () => {
    const schema = z.string().refine(async (text) => text !== 'bad', 'is bad')
    expect(await validate(schema, 'good')).toEqual({ value: 'good' })
    expect(await validate(schema, 'bad')).toEqual({ issues: [{ path: [], message: 'is bad' }] })
  })

  test('tells every issue with its path as text', async () => {
    const schema = z.object({ list: z.array(z.object({ n: z.number() })), name: z.string() })
    expect(await validate(schema, { list: [{ n: 1 }, { n: 'x' }], name: 5 })).toEqual({
      issues: [
        { path: ['list', '1', 'n'], message: expect.stringContaining('number') },
        { path: ['name'], message: expect.stringContaining('string') },
      ],
    })
  })

  test('reads path segments that are objects or symbols', async () => {
    const schema = validatorOf(() => ({ issues: [{ message: 'no', path: [{ key: 'a' }, { key: 0 }, Symbol('s')] }] }))
    expect(await validate(schema, 1)).toEqual({ issues: [{ path: ['a', '0', 'Symbol(s)'], message: 'no' }] })
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('broken')
      },
      "the schema's validator threw: broken",
    ],
    ['rejects', () => Promise.reject(new Error('later')), "the schema's validator threw: later"],
    ['throws what is no error', () => AbortSignal.abort('odd').throwIfAborted(), 'validator threw: "odd"'],
    ['gives nothing', () => undefined, "the schema's validator threw"],
    ['gives neither value nor issues', () => ({}), "the schema's validator gave no value and no issues"],
    ['refuses without a reason', () => ({ issues: [] }), 'without saying why'],
  ])('takes a validator that %s as a refusal', async (_, check, message) => {
    expect(await validate(validatorOf(check), 1)).toEqual({
      issues: [{ path: [], message: expect.stringContaining(message) }],
    })
  })

  test('accepts a value that is undefined', async () => {
    expect(
      await validate(
        validatorOf(() => ({ value: undefined })),
        1,
      ),
    ).toEqual({ value: undefined })
  })
})

describe('validateNow', () => {
  test('checks by a validator that answers at once, and leaves one that answers later', async () => {
    expect(validateNow(z.string().transform(Number), '5')).toEqual({ value: 5 })
    expect(validateNow(z.string(), 5)).toMatchObject({ issues: [{ path: [] }] })
    const slow = z.string().refine(async () => false)
    expect(validateNow(slow, 'text')).toBeNull()
    const throwing = validatorOf(() => AbortSignal.abort(new Error('broken')).throwIfAborted())
    expect(validateNow(throwing, 1)).toEqual({
      issues: [{ path: [], message: "the schema's validator threw: broken" }],
    })
  })
})

describe.each<[string, Schema<unknown, unknown>, { readonly told: boolean }]>([
  ['zod', z.object({ region: z.string(), n: z.number().default(1) }), { told: true }],
  ['valibot', v.object({ region: v.string(), n: v.optional(v.number(), 1) }), { told: false }],
  [
    'valibot with its converter',
    toStandardJsonSchema(v.object({ region: v.string(), n: v.optional(v.number(), 1) })),
    { told: true },
  ],
  ['arktype', type({ region: 'string', n: 'number = 1' }), { told: true }],
])('a schema of %s', (_, schema, { told }) => {
  test('checks values and gives what it makes of them', async () => {
    expect(isSchema(schema)).toBe(true)
    expect(await validate(schema, { region: 'EU' })).toEqual({ value: { region: 'EU', n: 1 } })
    expect(await validate(schema, { region: 5 })).toMatchObject({ issues: [{ path: ['region'] }] })
  })

  test('fits every place that takes one', () => {
    const load = step({ name: 'load', input: schema, output: schema, state: schema, run: ({ input }) => input })
    const ask = waitForInput('ask', { prompt: 'Where?', schema, timeout: '1d', onTimeout: { region: 'EU' } })
    const whole = defineWorkflow({ name: 'w', input: schema, state: schema, steps: [load, ask] })
    expect([whole.input, whole.state, load.input, load.output, load.state, ask.schema]).toEqual(Array(6).fill(schema))
    expect(ask.onTimeout).toEqual({ data: { region: 'EU' } })
    const wrong = () => waitForInput('ask', { prompt: 'Where?', schema, timeout: '1d', onTimeout: { region: 5 } })
    expect(refusal(wrong)).toContain('allowed is what its schema accepts; region')
  })

  test(`is told as JSON Schema: ${told ? 'yes' : 'no'}`, () => {
    const json = jsonSchemaOf(schema, 'input')
    if (!told) expect(json).toBeNull()
    else {
      expect(json).toMatchObject({
        type: 'object',
        properties: { region: { type: 'string' }, n: { type: 'number' } },
        required: ['region'],
      })
    }
  })
})

describe('a schema', () => {
  test('is an object or a function with a validator of version 1', () => {
    const standard = { version: 1, vendor: 'test', validate: () => ({ value: 1 }) }
    expect(isSchema({ '~standard': standard })).toBe(true)
    expect(isSchema(Object.assign(() => 1, { '~standard': standard }))).toBe(true)
    expect(isSchema(z.string())).toBe(true)
    const { version: _, ...unversioned } = standard
    const others = [null, 5, 'text', {}, () => 1, { '~standard': null }, { '~standard': unversioned }]
    for (const other of others) expect(isSchema(other)).toBe(false)
    expect(isSchema({ '~standard': { ...standard, version: 2 } })).toBe(false)
    expect(isSchema({ '~standard': { ...standard, validate: null } })).toBe(false)
  })
})

describe('jsonSchemaOf', () => {
  const schema = z.object({ n: z.number().default(1) })

  test('tells what a schema accepts and what it gives', () => {
    expect(jsonSchemaOf(schema, 'input')).toEqual({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: { n: { type: 'number', default: 1 } },
    })
    expect(jsonSchemaOf(schema, 'output')).toMatchObject({ required: ['n'] })
  })

  test('gives plain JSON that can be stored', () => {
    const json = jsonSchemaOf(schema, 'input')
    expect(Object.getOwnPropertyNames(json)).toEqual(Object.keys(json ?? {}))
  })

  test('is null where there is no schema, none that can tell, or nothing that can be told', () => {
    expect(jsonSchemaOf(null, 'input')).toBeNull()
    expect(
      jsonSchemaOf(
        validatorOf((value) => ({ value })),
        'input',
      ),
    ).toBeNull()
    expect(jsonSchemaOf(z.date(), 'input')).toBeNull()
    expect(jsonSchemaOf(z.string().transform(Number), 'output')).toBeNull()
    expect(jsonSchemaOf(z.string().transform(Number), 'input')).toMatchObject({ type: 'string' })
    expect(jsonSchemaOf(schemaOf('a\0b'), 'input')).toBeNull()
  })
})
