import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isJsonObject, type Json, type JsonObject } from '../../src/json.ts'
import { deepMerge, diffPatch, mergePatch } from '../../src/session/mergePatch.ts'

// `as`: the arbitrary is typed as unknown, and makes JSON only.
const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>
const jsonObject = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), json) as fc.Arbitrary<JsonObject>

function frozen<Value extends Json>(value: Value): Value {
  if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) frozen(item)
  return Object.freeze(value)
}

/** The state after a patch, which is an object as both are. */
function mergePatchOf(state: JsonObject, patch: JsonObject): JsonObject {
  const result = mergePatch(state, patch)
  if (!isJsonObject(result)) throw new Error('two objects gave none')
  return result
}

describe('mergePatch', () => {
  test.each<[Json, Json, Json]>([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('turns %j with %j into %j, as in RFC 7396', (target, patch, result) => {
    expect(mergePatch(target, patch)).toStrictEqual(result)
  })

  test('changes neither the target nor the patch', () => {
    fc.assert(
      fc.property(json, json, (target, patch) => {
        mergePatch(frozen(target), frozen(patch))
      }),
    )
  })

  test('gives the same when a patch is applied twice', () => {
    fc.assert(
      fc.property(jsonObject, jsonObject, (target, patch) => {
        const once = mergePatch(target, patch)
        expect(mergePatch(once, patch)).toStrictEqual(once)
      }),
    )
  })

  test('leaves prototypes alone', () => {
    const patch: Json = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}')
    const result = mergePatch({ a: 1 }, patch)
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype)
    expect(JSON.stringify(result)).toBe(`{"a":1,${JSON.stringify(patch).slice(1)}`)
    expect('polluted' in {}).toBe(false)
    const removal: Json = JSON.parse('{"__proto__":null,"toString":null}')
    expect(JSON.stringify(mergePatch(result, removal))).toBe('{"a":1,"constructor":{"prototype":{"polluted":true}}}')
  })
})

describe('diffPatch', () => {
  test('names what was added, replaced and removed, at every depth, and nothing else', () => {
    const from = { same: [1], gone: 1, list: [1, 2], deep: { same: 1, gone: { x: 1 }, other: 1 }, n: 1 }
    const to = { same: [1], list: [2], deep: { same: 1, other: 2, new: {} }, n: { now: 'an object' } }
    const patch = { gone: null, list: [2], deep: { gone: null, other: 2, new: {} }, n: { now: 'an object' } }
    expect(diffPatch(from, to)).toStrictEqual(patch)
    expect(diffPatch(to, to)).toStrictEqual({})
  })

  test('leads from a state to whatever merge patches made of it, and changes neither', () => {
    fc.assert(
      fc.property(jsonObject, fc.array(jsonObject, { maxLength: 4 }), (from, patches) => {
        const to = patches.reduce(mergePatchOf, from)
        expect(mergePatch(frozen(from), diffPatch(from, frozen(to)))).toEqual(to)
      }),
      { numRuns: 500 },
    )
  })

  test('leaves prototypes alone', () => {
    const to: JsonObject = JSON.parse('{"__proto__":{"polluted":true},"toString":1}')
    const patch = diffPatch({}, to)
    expect(Object.getPrototypeOf(patch)).toBe(Object.prototype)
    expect(JSON.stringify(mergePatch({}, patch))).toBe(JSON.stringify(to))
    expect(JSON.stringify(diffPatch(to, {}))).toBe('{"__proto__":null,"toString":null}')
    expect('polluted' in {}).toBe(false)
  })
})

describe('deepMerge', () => {
  test('merges objects at every depth, replaces all else, and keeps null', () => {
    const base = { a: { b: 1, c: { d: 2 } }, list: [1, 2], n: 1, o: { x: 1 }, s: 'x' }
    const over = { a: { c: { e: 3 } }, list: [3], n: null, o: 'text', s: { y: 1 } }
    expect(deepMerge(base, over)).toStrictEqual({
      a: { b: 1, c: { d: 2, e: 3 } },
      list: [3],
      n: null,
      o: 'text',
      s: { y: 1 },
    })
  })

  test('changes neither side, and an empty object on either side changes nothing', () => {
    fc.assert(
      fc.property(jsonObject, jsonObject, (base, over) => {
        deepMerge(frozen(base), frozen(over))
        expect(deepMerge(base, {})).toEqual(base)
        expect(deepMerge({}, over)).toEqual(over)
      }),
    )
  })

  test('leaves prototypes alone', () => {
    const over: JsonObject = JSON.parse('{"__proto__":{"polluted":true}}')
    const result = deepMerge({ a: 1 }, over)
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype)
    expect(JSON.stringify(deepMerge(result, over))).toBe('{"a":1,"__proto__":{"polluted":true}}')
    expect('polluted' in {}).toBe(false)
  })
})
