import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { approval } from '../../src/workflow/approval.ts'
import { isSchema } from '../../src/workflow/schemaCheck.ts'
import { sleep } from '../../src/workflow/sleep.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { looseApproval, looseSleep, looseWaitForInput, refusal, thawed } from './support.ts'

const DAY = 86_400_000
const prompt = 'Publish?'

describe('an approval', () => {
  test('is a frozen node that waits as long as it takes', () => {
    const node = approval('publish?', { prompt })
    expect(node).toEqual({
      kind: 'approval',
      name: 'publish?',
      description: null,
      prompt,
      timeoutMs: null,
      onTimeout: null,
    })
    expect(Object.isFrozen(node)).toBe(true)
  })

  test('keeps every setting that is given, with a timeout of up to 3,650 days', () => {
    const ask = () => prompt
    const node = approval('publish?', { description: 'Asks', prompt: ask, timeout: '3650d', onTimeout: false })
    expect(node).toMatchObject({ description: 'Asks', prompt: ask, timeoutMs: 3_650 * DAY, onTimeout: false })
  })

  test.each([
    [{ prompt: undefined }, 'prompt of approval "a" is undefined: allowed is text that is not empty'],
    [{ prompt: '' }, 'prompt of approval "a" is ""'],
    [{ prompt: 'a\0' }, 'prompt of approval "a"'],
    [{ prompt: 5 }, 'prompt of approval "a" is 5'],
    [{ timeout: 0 }, 'timeout of approval "a" is 0: allowed is a time of at least 1 ms'],
    [{ timeout: '3651d' }, 'timeout of approval "a" is "3651d": allowed are milliseconds from 0 to 315360000000'],
    [{ onTimeout: true }, 'onTimeout of approval "a" is true: allowed is none without a timeout'],
    [{ timeout: '1d', onTimeout: 'yes' }, 'onTimeout of approval "a" is "yes": allowed are true and false'],
    [{ timeout: '1d', onTimeout: null }, 'onTimeout of approval "a" is null'],
    [{ schema: z.string() }, 'approval "a" has the unknown option "schema"'],
  ])('refuses the options %j', (options, message) => {
    expect(refusal(() => looseApproval('a', { prompt, ...options }))).toContain(message)
  })

  test('has a name like that of a step', () => {
    expect(refusal(() => looseApproval('a/b', { prompt }))).toContain('the name of an approval is "a/b"')
  })
})

describe('waiting for input', () => {
  const schema = z.object({ region: z.string().default('EU') })

  test('is a frozen node that waits as long as it takes', () => {
    const node = waitForInput('details', { prompt, schema })
    expect(node).toEqual({
      kind: 'input',
      name: 'details',
      description: null,
      prompt,
      timeoutMs: null,
      schema,
      onTimeout: null,
    })
    expect(Object.isFrozen(node)).toBe(true)
  })

  test('keeps a copy of the default answer as the schema accepts it', () => {
    const onTimeout = { region: 'US' }
    const node = waitForInput('details', { prompt: () => prompt, schema, timeout: '100d', onTimeout })
    onTimeout.region = 'changed'
    expect(node).toMatchObject({ timeoutMs: 100 * DAY, onTimeout: { data: { region: 'US' } } })
    expect(thawed(node.onTimeout, 'onTimeout')).toEqual([])
    const { onTimeout: empty } = waitForInput('details', { prompt, schema, timeout: '1d', onTimeout: {} })
    expect(empty).toEqual({ data: {} })
  })

  test('tells a default answer of null from none', () => {
    const node = waitForInput('details', { prompt, schema: z.null(), timeout: '1d', onTimeout: null })
    expect(node.onTimeout).toEqual({ data: null })
  })

  test('checks the default answer later where the schema answers later', async () => {
    const rejected = z.string().refine(() => Promise.resolve(false), 'never')
    const node = waitForInput('details', { prompt, schema: rejected, timeout: '1d', onTimeout: 'text' })
    expect(node.onTimeout).toEqual({ data: 'text' })
    const failing: unknown = {
      '~standard': { version: 1, vendor: 'test', validate: () => Promise.reject(new Error('later')) },
    }
    if (!isSchema(failing)) throw new Error('not a schema')
    // A rejection that nobody handled would fail the test run.
    expect(waitForInput('details', { prompt, schema: failing, timeout: '1d', onTimeout: 1 }).onTimeout).toEqual({
      data: 1,
    })
  })

  test.each([
    [{ schema: undefined }, 'waitForInput "w" has no schema: it is needed to check the answer'],
    [{ schema: { type: 'string' } }, 'schema of waitForInput "w" is {"type":"string"}: allowed is a Standard Schema'],
    [{ prompt: undefined }, 'prompt of waitForInput "w" is undefined'],
    [{ timeout: -1 }, 'timeout of waitForInput "w" is -1'],
    [{ onTimeout: { region: 'US' } }, 'onTimeout of waitForInput "w" is {"region":"US"}: allowed is none without'],
    [
      { timeout: '1d', onTimeout: { region: 5 } },
      'onTimeout of waitForInput "w" is {"region":5}: allowed is what its schema accepts; region:',
    ],
    [{ timeout: '1d', onTimeout: new Map() }, 'onTimeout of waitForInput "w" cannot be stored'],
    [{ choices: [] }, 'waitForInput "w" has the unknown option "choices"'],
  ])('refuses the options %j', (options, message) => {
    expect(refusal(() => looseWaitForInput('w', { prompt, schema, ...options }))).toContain(message)
  })
})

describe('a sleep', () => {
  test('is a frozen node with a duration in milliseconds, up to 3,650 days', () => {
    const node = sleep('cool-down', '10m')
    expect(node).toEqual({ kind: 'sleep', name: 'cool-down', description: null, durationMs: 600_000 })
    expect(Object.isFrozen(node)).toBe(true)
    expect(sleep('s', 0)).toMatchObject({ durationMs: 0 })
    expect(sleep('s', '3650d', { description: 'Long' })).toMatchObject({
      durationMs: 3_650 * DAY,
      description: 'Long',
    })
  })

  test.each([
    [['s'], `the duration of sleep "s" is undefined: allowed is a time such as '10m'`],
    [['s', 'soon'], 'the duration of sleep "s" is "soon"'],
    [['s', -1], 'the duration of sleep "s" is -1'],
    [['s', '3650.1d'], 'the duration of sleep "s" is "3650.1d": allowed are milliseconds from 0 to 315360000000'],
    [['s', '1d', { until: 5 }], 'sleep "s" has the unknown option "until"'],
    [['s/t', '1d'], 'the name of a sleep is "s/t"'],
  ])('refuses %j', (given, message) => {
    expect(refusal(() => looseSleep(...given))).toContain(message)
  })
})
