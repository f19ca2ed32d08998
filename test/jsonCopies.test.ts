import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { copyJson, deepFreeze, type Json, jsonText, storable } from '../src/json.ts'

/** Any JSON value, negative zero and odd keys included. */
// `as`: jsonValue() is typed as unknown, and makes JSON only.
const json = fc.jsonValue({ stringUnit: 'grapheme' }) as fc.Arbitrary<Json>

/** Every object and array in a value, the value itself included. */
function containers(value: Json): object[] {
  if (typeof value !== 'object' || value === null) return []
  return [value, ...Object.values(value).flatMap(containers)]
}

describe('jsonText', () => {
  test('keeps the sign of zero, wherever it is, and leaves text alone', () => {
    expect(jsonText(-0)).toBe('-0')
    expect(jsonText({ a: [0, -0, { b: -0 }], c: '-0' })).toBe('{"a":[0,-0,{"b":-0}],"c":"-0"}')
  })

  test('is read back as the same value, and is the text that storable gives', () => {
    fc.assert(
      fc.property(json, (value) => {
        deepStrictEqual(JSON.parse(jsonText(value)), value)
        if (!/\\u0000|"__proto__"/.test(JSON.stringify(value))) expect(jsonText(value)).toBe(storable(value).text)
      }),
      { numRuns: 500 },
    )
  })
})

describe('copyJson', () => {
  test('gives an equal value that shares nothing with the original', () => {
    fc.assert(
      fc.property(json, (value) => {
        const copy = copyJson(value)
        deepStrictEqual(copy, value)
        const originals = new Set(containers(value))
        expect(containers(copy).filter((container) => originals.has(container))).toEqual([])
      }),
    )
  })

  test('of a frozen value can be changed', () => {
    const frozen = deepFreeze({ list: [{ n: 1 }] })
    const copy = copyJson(frozen)
    expect(containers(copy).filter((container) => Object.isFrozen(container))).toEqual([])
    expect(frozen).toEqual({ list: [{ n: 1 }] })
  })

  test('keeps a key named __proto__ as a key', () => {
    const copy = copyJson(JSON.parse('{"__proto__":{"polluted":true}}'))
    expect(JSON.stringify(copy)).toBe('{"__proto__":{"polluted":true}}')
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype)
  })
})

describe('deepFreeze', () => {
  test('makes everything in a value unchangeable, and gives that value', () => {
    fc.assert(
      fc.property(json, (value) => {
        const before = jsonText(value)
        expect(deepFreeze(value)).toBe(value)
        expect(containers(value).filter((container) => !Object.isFrozen(container))).toEqual([])
        expect(jsonText(value)).toBe(before)
      }),
    )
  })

  test('lets an attempt to change it throw, at any depth', () => {
    const value = deepFreeze({ list: [{ n: 1 }] })
    expect(() => value.list.push({ n: 2 })).toThrow(TypeError)
    expect(() => Object.assign(value.list[0] ?? {}, { n: 2 })).toThrow(TypeError)
    expect(value).toEqual({ list: [{ n: 1 }] })
  })
})
