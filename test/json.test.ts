import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KernError } from '../src/errors.ts'
import { canonicalText, DEFAULT_LIMITS, isJsonObject, type Json, jsonEquals, previewOf, storable } from '../src/json.ts'

/** The error that a value is refused with. */
function refusal(value: unknown, limits = DEFAULT_LIMITS): KernError {
  try {
    storable(value, limits)
  } catch (error) {
    if (error instanceof KernError) return error
    throw error
  }
  throw new Error('the value was accepted')
}

function nested(depth: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < depth; level += 1) value = [value]
  return value
}

/** Any JSON value that is storable, negative zero and odd keys included. */
const anyJson = fc
  .jsonValue({ stringUnit: 'grapheme' })
  .filter((value) => !/\\u0000|"__proto__"/.test(JSON.stringify(value)))
// `as`: jsonValue() is typed as unknown, and makes JSON only.
const json = anyJson as fc.Arbitrary<Json>

describe('storable', () => {
  test('gives the JSON text of a value and a copy that equals it', () => {
    const value = { b: [1, 'two', null, true], a: { c: -1.5e300 }, '': 'é😀\u2028' }
    expect(storable(value)).toEqual({ value, text: JSON.stringify(value) })
  })

  test('whatever it accepts is read back equal, and everything else is refused by a Kern error', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withSparseArray: true,
    })
    fc.assert(
      fc.property(fc.oneof(anything, json), (value) => {
        try {
          const stored = storable(value)
          const readBack: unknown = JSON.parse(stored.text)
          deepStrictEqual(readBack, stored.value)
          deepStrictEqual(readBack, withoutUndefined(value))
        } catch (error) {
          if (!(error instanceof KernError)) throw error
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('accepts every JSON value', () => {
    fc.assert(fc.property(json, (value) => deepStrictEqual(JSON.parse(storable(value).text), value)))
  })

  test('keeps negative zero, at the top and inside', () => {
    expect(storable(-0).text).toBe('-0')
    expect(storable({ a: [-0, 0, '-0', { b: -0 }] }).text).toBe('{"a":[-0,0,"-0",{"b":-0}]}')
  })

  test('takes a property whose value is undefined as absent', () => {
    const stored = storable({ a: undefined, b: 1, ['__proto__']: undefined })
    expect(stored.text).toBe('{"b":1}')
    expect(Object.keys(stored.value ?? {})).toEqual(['b'])
  })

  test('accepts objects without a prototype', () => {
    expect(storable(Object.assign(Object.create(null), { a: 1 })).text).toBe('{"a":1}')
  })

  test('accepts one object in several places', () => {
    const shared = { a: 1 }
    expect(storable([shared, { shared }]).text).toBe('[{"a":1},{"shared":{"a":1}}]')
  })

  test('returns a copy that later changes to the original do not reach', () => {
    const original = { list: [1] }
    const stored = storable(original)
    original.list.push(2)
    expect(stored.value).toEqual({ list: [1] })
  })

  test('reads a getter once, so that the value and its text agree', () => {
    let reads = 0
    const value = {
      get next() {
        reads += 1
        return reads
      },
    }
    expect(storable(value)).toEqual({ value: { next: 1 }, text: '{"next":1}' })
    expect(reads).toBe(1)
  })

  test.each<[string, unknown, string]>([
    ['undefined at the top', undefined, '$ is undefined'],
    ['undefined in an array', { items: [1, undefined] }, '$.items[1] is undefined'],
    ['a function', { f: () => 1 }, '$.f is a function'],
    ['a function named toJSON', { when: { toJSON: () => 'x' } }, '$.when.toJSON is a function'],
    ['a symbol', [Symbol('s')], '$[0] is a symbol'],
    ['a symbol as key', { a: { [Symbol('s')]: 1 } }, '$.a has the key "Symbol(s)"'],
    ['a symbol as key of an array', Object.assign([1], { [Symbol('s')]: 1 }), '$ has the key "Symbol(s)"'],
    ['a BigInt', { a: 12n }, '$.a is the BigInt "12"'],
    ['NaN', { a: Number.NaN }, '$.a is NaN'],
    ['Infinity', [Number.POSITIVE_INFINITY], '$[0] is Infinity'],
    ['−Infinity', [Number.NEGATIVE_INFINITY], '$[0] is -Infinity'],
    ['a Date', { items: [0, { when: new Date(0) }] }, '$.items[1].when is a Date'],
    ['an invalid Date', new Date(Number.NaN), '$ is a Date'],
    ['a Map', { a: new Map() }, '$.a is an instance of "Map"'],
    ['a Set', { a: new Set() }, '$.a is an instance of "Set"'],
    ['a typed array', { a: new Uint8Array(2) }, '$.a is an instance of "Uint8Array"'],
    ['a Buffer', { a: Buffer.from('x') }, '$.a is an instance of "Buffer"'],
    ['an instance of a class', { a: new (class Point {})() }, '$.a is an instance of "Point"'],
    ['an array of a subclass', new (class List extends Array {})(), '$ is an instance of "List"'],
    ['an Error', new TypeError('x'), '$ is an instance of "TypeError"'],
    ['a Promise', { a: Promise.resolve(1) }, '$.a is a Promise'],
    ['a boxed string', Object('x'), '$ is an instance of "String"'],
    ['a sparse array', Object.assign([1], { 2: 3 }), '$[1] is a hole'],
    ['an array with an extra key', 'x'.match(/x/), '$ is an array with the extra key "index"'],
    ['a key that is not enumerable', Object.defineProperty({}, 'a', { value: 1 }), '$ has the key "a"'],
    ['the key __proto__', JSON.parse('{"a":{"__proto__":{"b":1}}}'), '$.a.__proto__ is a key'],
    ['half a surrogate pair', { a: 'x\ud800' }, '$.a is text with half a surrogate pair'],
    ['the other half', 'x\udc00y', '$ is text with half a surrogate pair'],
    ['half a surrogate pair in a key', { 'x\ud800': 1 }, '$["x\\ud800"] has a key with half'],
    ['NUL', { a: ['\0'] }, '$.a[0] is text with the character NUL'],
    ['NUL in a key', { 'a\0': 1 }, '$["a\\u0000"] has a key with the character NUL'],
    ['a proxy that was revoked', revoked(), '$ could not be read'],
  ])('refuses %s, with the path to it', (_name, value, message) => {
    const error = refusal(value)
    expect(error.code).toBe('VALUE_NOT_STORABLE')
    expect(error.message.slice(0, message.length)).toBe(message)
  })

  test('refuses a value that throws while it is read, and keeps the cause', () => {
    const cause = new Error('broken getter')
    const error = refusal({
      a: {
        get b() {
          throw cause
        },
      },
    })
    expect(error.message).toContain('$.a.b could not be read')
    expect(error.cause).toBe(cause)
  })

  test('refuses a cycle and names both of its ends', () => {
    const root: Record<string, unknown> = { list: [{}] }
    const inner: Record<string, unknown> = { root }
    root.list = [{ inner }]
    expect(refusal(root).message).toContain('$.list[0].inner.root leads back to $:')
    const own: unknown[] = []
    own.push(own, own)
    expect(refusal({ own }).message).toContain('$.own[0] leads back to $.own:')
  })

  test('accepts 64 objects and arrays inside each other, and refuses 65', () => {
    expect(storable(nested(64)).text).toHaveLength(129)
    expect(refusal(nested(65))).toMatchObject({ code: 'VALUE_NOT_STORABLE' })
    expect(refusal(nested(65)).message).toContain('is nested deeper than 64')
  })

  test('refuses a depth bomb without overflowing the stack', () => {
    expect(refusal(nested(1_000_000)).message).toContain('is nested deeper than 64')
  })

  test('counts the limit in UTF-8 bytes of the text, and accepts exactly the limit', () => {
    const limits = { maxBytes: 10, maxDepth: 64 }
    expect(storable('12345678', limits).text).toBe('"12345678"')
    expect(storable('éééé', limits).text).toBe('"éééé"')
    expect(storable('😀😀', limits).text).toBe('"😀😀"')
    expect(storable('\n\n\n\n', limits).text).toBe('"\\n\\n\\n\\n"')
    for (const value of ['123456789', 'éééé.', '😀😀.', '\n\n\n\n.', [1, 2, 3, 4, 5], { abcdef: 1 }]) {
      const error = refusal(value, limits)
      expect(error).toMatchObject({ code: 'VALUE_TOO_LARGE', details: { limit: 10 } })
      expect(error.message).toContain('allowed are up to 10')
    }
  })

  test('never counts more than the text has', () => {
    fc.assert(
      fc.property(json, (value) => {
        const { text } = storable(value)
        expect(storable(value, { maxBytes: Buffer.byteLength(text), maxDepth: 64 }).text).toBe(text)
        expect(refusal(value, { maxBytes: Buffer.byteLength(text) - 1, maxDepth: 64 }).code).toBe('VALUE_TOO_LARGE')
      }),
    )
  })

  test.each<Json>(['', 'a', 1, -0, true, false, null, [], {}, [1], [''], { '': 1 }, { a: 1 }, { a: [{ b: null }] }])(
    'accepts %j where the limit is exactly its length',
    (value) => {
      const { text } = storable(value)
      expect(storable(value, { maxBytes: text.length, maxDepth: 64 }).text).toBe(text)
    },
  )

  test('accepts one mebibyte where nothing else is set, and refuses one byte more', () => {
    expect(storable('x'.repeat(1_048_574)).text).toHaveLength(1_048_576)
    expect(refusal('x'.repeat(1_048_575)).code).toBe('VALUE_TOO_LARGE')
  })

  test('refuses a small graph of shared objects that would unfold into an endless text', () => {
    let value: unknown = ['x']
    for (let level = 0; level < 60; level += 1) value = [value, value]
    expect(refusal(value).code).toBe('VALUE_TOO_LARGE')
  })

  test('shows only the end of a very long path', () => {
    const error = refusal({ ['k'.repeat(5000)]: { when: new Date(0) } })
    expect(error.message.length).toBeLessThan(400)
    expect(error.message).toContain('k.when is a Date')
  })
})

describe('previewOf', () => {
  test('gives text as it is, anything else as compact JSON, and nothing for undefined', () => {
    expect(previewOf('a <b>\nc')).toBe('a <b>\nc')
    expect(previewOf({ a: [1, null] })).toBe('{"a":[1,null]}')
    expect(previewOf(null)).toBe('null')
    expect(previewOf(undefined)).toBe('')
  })

  test('cuts to 256 code points, the last of them an ellipsis', () => {
    expect(previewOf('x'.repeat(256))).toBe('x'.repeat(256))
    expect(previewOf('x'.repeat(257))).toBe(`${'x'.repeat(255)}…`)
    expect(previewOf('😀'.repeat(256))).toBe('😀'.repeat(256))
    expect(previewOf('😀'.repeat(257))).toBe(`${'😀'.repeat(255)}…`)
    expect(previewOf(`x${'😀'.repeat(300)}`)).toBe(`x${'😀'.repeat(254)}…`)
    expect(previewOf(Array.from({ length: 300 }, () => 1))).toBe(`[${'1,'.repeat(127)}…`)
  })

  test('never leaves half a surrogate pair or more than 256 code points', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 100, maxLength: 600, size: 'max' })
    fc.assert(
      fc.property(text, (value) => {
        const preview = previewOf(value)
        expect(preview.isWellFormed()).toBe(true)
        expect([...preview].length).toBe(Math.min(256, [...value].length))
      }),
    )
  })
})

describe('comparing values', () => {
  test('isJsonObject is true for objects only', () => {
    expect(isJsonObject({})).toBe(true)
    for (const value of [null, [], 'x', 1, true, undefined]) expect(isJsonObject(value)).toBe(false)
  })

  test.each<[Json, Json, boolean]>([
    [{ a: 1, b: [2] }, { b: [2], a: 1 }, true],
    [-0, 0, true],
    [[-0], [0], true],
    [[1, 2], [2, 1], false],
    [[1], [1, 2], false],
    [{ a: null }, {}, false],
    [{ a: null }, { b: null }, false],
    [{ constructor: 1 }, { a: 1 }, false],
    [[], {}, false],
    [{}, [], false],
    [{ 0: 1 }, [1], false],
    [null, {}, false],
    ['1', 1, false],
    [null, false, false],
  ])('jsonEquals(%j, %j) is %j, and canonicalText agrees', (a, b, equal) => {
    expect(jsonEquals(a, b)).toBe(equal)
    expect(jsonEquals(b, a)).toBe(equal)
    expect(canonicalText(a) === canonicalText(b)).toBe(equal)
  })

  test('two values have one canonical text exactly where they are equal', () => {
    const small = fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>
    fc.assert(fc.property(small, small, (a, b) => jsonEquals(a, b) === (canonicalText(a) === canonicalText(b))))
    fc.assert(fc.property(json, (value) => jsonEquals(value, reordered(value))))
    fc.assert(fc.property(json, (value) => canonicalText(value) === canonicalText(reordered(value))))
  })

  test('canonicalText sorts keys at every depth and is JSON', () => {
    expect(canonicalText({ b: [{ d: 1, c: -0 }], a: 'é"' })).toBe('{"a":"é\\"","b":[{"c":0,"d":1}]}')
    fc.assert(fc.property(json, (value) => jsonEquals(JSON.parse(canonicalText(value)), value)))
  })
})

function reordered(value: Json): Json {
  if (Array.isArray(value)) return value.map(reordered)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, reordered(item)]),
  )
}

/** What should be read back for a value that was accepted: plain objects, without their undefined properties. */
function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  return Object.fromEntries(entries.map(([key, item]) => [key, withoutUndefined(item)]))
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
