import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { step } from '../../src/workflow/step.ts'
import { looseStep, refusal } from './support.ts'

const run = () => 1

describe('step', () => {
  test('makes a frozen node with the defaults of every setting', () => {
    const node = step({ name: 'load', run })
    expect(node).toEqual({
      kind: 'step',
      name: 'load',
      description: null,
      input: null,
      output: null,
      state: null,
      retry: { maxAttempts: 1, backoff: 'fixed', delayMs: 1_000, maxDelayMs: 60_000, retryIf: null },
      timeoutMs: null,
      onError: 'fail',
      addWorkflowHistory: null,
      numHistoryRuns: null,
      run,
    })
    expect(Object.isFrozen(node)).toBe(true)
    expect(Object.isFrozen(node.retry)).toBe(true)
  })

  test('keeps every setting that is given, durations as milliseconds', () => {
    const [input, output, state] = [z.string(), z.number(), z.object({ n: z.number() })]
    const retryIf = () => true
    const node = step({
      name: 'load',
      description: 'Loads the pages',
      input,
      output,
      state,
      retry: { maxAttempts: 1_000, backoff: 'exponential', delay: 250, maxDelay: '2h', retryIf },
      timeout: '1.5s',
      onError: 'pause',
      addWorkflowHistory: true,
      numHistoryRuns: 100,
      run,
    })
    expect(node).toMatchObject({
      description: 'Loads the pages',
      retry: { maxAttempts: 1_000, backoff: 'exponential', delayMs: 250, maxDelayMs: 7_200_000, retryIf },
      timeoutMs: 1_500,
      onError: 'pause',
      addWorkflowHistory: true,
      numHistoryRuns: 100,
    })
    expect([node.input, node.output, node.state]).toEqual([input, output, state])
    expect(Object.isFrozen(node.retry)).toBe(true)
  })

  test('takes a name and a function alone', () => {
    expect(step('load', run)).toEqual(step({ name: 'load', run }))
  })

  test('treats an option that is undefined like one that is not given', () => {
    expect(step({ name: 'load', description: undefined, timeout: undefined, retry: undefined, run })).toEqual(
      step({ name: 'load', run }),
    )
  })

  test('does not see later changes of the options', () => {
    const options = { name: 'load', retry: { maxAttempts: 2 }, run }
    const node = step(options)
    options.retry.maxAttempts = 5
    options.name = 'other'
    expect(node).toMatchObject({ name: 'load', retry: { maxAttempts: 2 } })
  })

  test.each(['load', 'é', 'zwei Wörter', 'a.b', 'x'.repeat(100), '😀'.repeat(100), 'publish?'])(
    'accepts the name %j',
    (name) => {
      expect(step(name, run).name).toBe(name)
    },
  )

  test.each([
    ['', 'it is empty'],
    [undefined, 'allowed is text of 1 to 100 characters'],
    [7, 'the name of a step is 7'],
    ['x'.repeat(101), 'it has 101 characters'],
    ['😀'.repeat(101), 'it has 101 characters'],
    ['a\nb', 'it has a control character'],
    ['a\0', 'it has a control character'],
    [' a', 'it has blanks at an end'],
    ['a ', 'it has blanks at an end'],
    ['\ud800', 'lone surrogate'],
    ['a/b', '"/", "[" or "]"'],
    ['a[0', '"/", "[" or "]"'],
    ['a]', '"/", "[" or "]"'],
    ['.', 'dots alone'],
    ['..', 'dots alone'],
  ])('refuses the name %j', (name, message) => {
    const text = refusal(() => looseStep({ name, run }))
    expect(text).toContain('the name of a step is')
    expect(text).toContain(message)
  })

  test.each([
    [{ retires: 3 }, 'step "load" has the unknown option "retires": allowed are name, description, input'],
    [{ retry: { attempts: 3 } }, 'retry of step "load" has the unknown option "attempts": allowed are maxAttempts'],
    [{ run: 5 }, 'run of step "load" is 5: allowed is a function'],
    [{ run: undefined }, 'run of step "load" is undefined: allowed is a function'],
    [{ description: 5 }, 'description of step "load" is 5: allowed is text'],
    [{ description: null }, 'description of step "load" is null: allowed is text'],
    [{ description: 'x'.repeat(2_001) }, 'at most 2000 characters'],
    [{ description: 'a\0b' }, 'description of step "load"'],
    [{ description: '\udc00' }, 'description of step "load"'],
    [{ input: { type: 'object' } }, 'input of step "load" is {"type":"object"}: allowed is a Standard Schema'],
    [{ input: null }, 'input of step "load" is null: allowed is a Standard Schema'],
    [{ output: { '~standard': { version: 2, validate: run } } }, 'output of step "load"'],
    [{ state: { '~standard': { version: 1 } } }, 'state of step "load"'],
    [{ retry: 3 }, 'retry of step "load" is 3: allowed is an object with maxAttempts'],
    [{ retry: null }, 'retry of step "load" is null: allowed is an object'],
    [{ retry: { maxAttempts: 0 } }, 'retry.maxAttempts of step "load" is 0: allowed is a whole number from 1 to 1000'],
    [{ retry: { maxAttempts: 1_001 } }, 'retry.maxAttempts of step "load" is 1001'],
    [{ retry: { maxAttempts: 1.5 } }, 'retry.maxAttempts of step "load" is 1.5'],
    [{ retry: { maxAttempts: Number.NaN } }, 'retry.maxAttempts of step "load" is NaN'],
    [{ retry: { maxAttempts: '3' } }, 'retry.maxAttempts of step "load" is "3"'],
    [{ retry: { maxAttempts: 2, backoff: 'linear' } }, `"linear": allowed are 'fixed' and 'exponential'`],
    [{ retry: { maxAttempts: 2, delay: '5 minutes' } }, 'retry.delay of step "load" is "5 minutes"'],
    [{ retry: { maxAttempts: 2, delay: -1 } }, 'retry.delay of step "load" is -1'],
    [{ retry: { maxAttempts: 2, maxDelay: {} } }, 'retry.maxDelay of step "load" is {}'],
    [{ retry: { maxAttempts: 2, delay: '2m' } }, 'is "2m": allowed is at most maxDelay, which is 60000 ms'],
    [{ retry: { maxAttempts: 2, delay: 11, maxDelay: 10 } }, 'is 11: allowed is at most maxDelay, which is 10 ms'],
    [{ retry: { maxAttempts: 2, maxDelay: 10 } }, 'is 1000: allowed is at most maxDelay, which is 10 ms'],
    [{ retry: { maxAttempts: 2, retryIf: true } }, 'retry.retryIf of step "load" is true: allowed is a function'],
    [{ retry: { delay: '5s' } }, 'retry of step "load" has delay but no maxAttempts'],
    [{ timeout: '30' }, 'timeout of step "load" is "30"'],
    [{ timeout: 0 }, 'timeout of step "load" is 0: allowed is a time of at least 1 ms'],
    [{ timeout: 2_147_483_648 }, 'timeout of step "load" is 2147483648'],
    [{ onError: 'ignore' }, `onError of step "load" is "ignore": allowed are 'fail', 'skip' and 'pause'`],
    [{ onError: null }, 'onError of step "load" is null'],
    [{ addWorkflowHistory: 'yes' }, 'addWorkflowHistory of step "load" is "yes": allowed are true and false'],
    [{ numHistoryRuns: 0 }, 'numHistoryRuns of step "load" is 0: allowed is a whole number from 1 to 100'],
    [{ numHistoryRuns: 101 }, 'numHistoryRuns of step "load" is 101'],
    [{ addWorkflowHistory: false, numHistoryRuns: 3 }, 'numHistoryRuns of step "load" is 3: allowed is none'],
  ])('refuses the options %j', (options, message) => {
    expect(refusal(() => looseStep({ name: 'load', run, ...options }))).toContain(message)
  })

  test('refuses what is no object of options, and arguments after one', () => {
    expect(refusal(() => looseStep(undefined))).toContain('a step is undefined: allowed is an object with name')
    expect(refusal(() => looseStep([]))).toContain('a step is []: allowed is an object with name')
    expect(refusal(() => looseStep('load'))).toContain('run of step "load" is undefined: allowed is a function')
    expect(refusal(() => looseStep({ name: 'load', run }, run))).toContain('the second argument of step()')
  })
})
