import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import type { Json, JsonObject } from '../../src/json.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { eventsOf, startKern } from '../support/kerns.ts'

/** Text that means something in an array literal, in JSON, in SQL or to JavaScript. */
const ODD = [
  '',
  'NULL',
  'null',
  '{}',
  '{"a":1}',
  '"',
  '\\',
  '\\"',
  "'",
  "';--",
  ',',
  ' ',
  '\n',
  '\u007f',
  '\\u0000',
  '$1',
  '👩‍👩‍👧',
  'é',
  '\u2028',
]
const KEYS = [...ODD, 'constructor', 'toString', 'length', 'hasOwnProperty', '0', '-1', 'a.b', 'a/b[0]']
const NUMBERS = [-0, 0, 5e-324, -5e-324, Number.MAX_VALUE, -Number.MAX_VALUE, 2 ** 53, 2 ** 53 + 2, 1e21, 0.1 + 0.2]

const storableText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => text.isWellFormed() && !text.includes('\0')),
  fc.constantFrom(...ODD),
)
const key = fc.oneof(storableText, fc.constantFrom(...KEYS)).filter((text) => text !== '__proto__')
const { value: anyJson } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(null, true, false, ...NUMBERS),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    storableText,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
}))

const repeats = step('repeats', ({ input, emit, log }: StepContext) => {
  emit('repeated', input)
  log('repeated', { data: input })
  return input
})
const repeater = new Workflow({ name: 'Repeater', steps: [repeats] })

const cycle: Record<string, unknown> = {}
cycle.again = { cycle }
const holed: unknown[] = [1]
holed[2] = 3
let tooDeep: unknown = 'bottom'
for (let depth = 0; depth < 63; depth += 1) tooDeep = [tooDeep]

/** Each with the path to what is wrong with it, inside of `{ items: [0, value] }`. */
const REFUSED: Record<string, { readonly value: unknown; readonly path?: string; readonly code?: string }> = {
  function: { value: () => 1 },
  symbol: { value: Symbol('s') },
  bigint: { value: 10n },
  NaN: { value: Number.NaN },
  Infinity: { value: [1, Number.NEGATIVE_INFINITY], path: '$.items[1][1]' },
  date: { value: new Date() },
  'invalid date': { value: new Date(Number.NaN) },
  map: { value: { inner: new Map() }, path: '$.items[1].inner' },
  set: { value: new Set() },
  cycle: { value: cycle, path: '$.items[1].again.cycle' },
  'lone surrogate': { value: '\ud800' },
  NUL: { value: { 'a b': 'x\0y' }, path: '$.items[1]["a b"]' },
  'NUL in a key': { value: { 'x\0y': 1 } },
  'too deep': { value: tooDeep },
  __proto__: { value: JSON.parse('{"__proto__":1}'), path: '$.items[1].__proto__' },
  instance: { value: new (class Point {})() },
  promise: { value: { later: Promise.resolve(1) }, path: '$.items[1].later' },
  hole: { value: holed, path: '$.items[1][1]' },
  'too large': { value: 'x'.repeat(5_000), code: 'VALUE_TOO_LARGE' },
}

const refusing = new Workflow({
  name: 'Refusing',
  steps: [
    step('refused', ({ runInput, setState, emit }: StepContext) => {
      const { which, how } = runInput as { which: string; how: string }
      const value = { items: [0, REFUSED[which]?.value] }
      if (how === 'state') setState(value as object)
      if (how === 'event') emit('value', value)
      return how === 'output' ? value : how
    }),
  ],
})

onEachDatabase((name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('a value', () => {
    test('is read back as it was given, wherever it is stored', async () => {
      const kern = await startKern(database, [repeater])
      const property = fc.asyncProperty(anyJson, key, async (value, stateKey) => {
        const sessionState: JsonObject = { [stateKey]: value }
        const run = await kern.run(repeater, { input: value, metadata: value, sessionState })
        expect(run).toMatchObject({ status: 'COMPLETED' })
        const { input, output, steps, stateBefore, stateAfter, metadata } = run
        for (const read of [input, output, metadata, steps.repeats?.input, steps.repeats?.output]) {
          expect(read).toEqual(value)
        }
        const session = await kern.getSession(run)
        for (const state of [stateBefore, stateAfter, session?.state]) expect(state).toEqual(sessionState)
        const events = await eventsOf(kern, run.runId)
        expect(events.find(({ type }) => type === 'CUSTOM')?.data).toEqual(value)
        const logged = { level: 'info', message: 'repeated', data: value }
        expect(events.find(({ type }) => type === 'LOG')?.data).toEqual(logged)
      })
      await fc.assert(property, { numRuns: name === 'PGlite' ? 25 : 75, endOnFailure: true })
    })

    test('that was not given is told apart from null', async () => {
      const kern = await startKern(database, [repeater])
      expect(await kern.run(repeater, { input: null, metadata: null })).toMatchObject({ input: null, metadata: null })
      const none = await kern.run('repeater', {})
      expect(none).toMatchObject({ input: undefined, metadata: undefined, status: 'FAILED' })
      expect(none.error).toMatchObject({ code: 'VALUE_NOT_STORABLE', stepPath: 'repeats' })
    })

    // The database has no part in this.
    test.runIf(name === 'PGlite').each(Object.keys(REFUSED))(
      'that cannot be stored (%s) fails the step, with the path to it',
      async (which) => {
        const kern = await startKern(database, [refusing], { maxValueBytes: 4_096 })
        const { code = 'VALUE_NOT_STORABLE', path = '$.items[1]' } = REFUSED[which] ?? {}
        for (const how of ['output', 'state', 'event']) {
          const run = await kern.run(refusing, { input: { which, how } })
          expect(run, how).toMatchObject({ status: 'FAILED', output: undefined, stateAfter: {} })
          expect(run.error, how).toMatchObject({ code, stepPath: 'refused', message: expect.stringContaining(path) })
        }
      },
    )
  })
})
