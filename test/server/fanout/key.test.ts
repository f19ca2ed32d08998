import { parse } from 'graphql'
import { expect, test } from 'vitest'
import { groupKey } from '../../../src/server/fanout/key.ts'
import type { Viewer } from '../../../src/viewer.ts'

const QUERY = 'subscription ($filter: F, $after: String) { feed(filter: $filter, after: $after) { seq } }'
const ANNA: Viewer = { userId: 'anna', scopes: ['read', 'write'] }

function keyOf(variableValues: Record<string, unknown>, viewer = ANNA, query = QUERY): string {
  return groupKey({ document: parse(query), query, variableValues }, viewer)
}

test('viewers share nothing with each other, nor does one with other scopes', () => {
  const key = keyOf({})
  expect(keyOf({}, { userId: 'anna', scopes: ['write', 'read'] })).toBe(key)
  const others: Viewer[] = [
    { userId: 'berta', scopes: ['read', 'write'] },
    { userId: null, scopes: ['read', 'write'] },
    { userId: 'anna', scopes: ['read'] },
  ]
  for (const other of others) expect(keyOf({}, other)).not.toBe(key)
})

test('neither the order of keys, nor where it begins, nor variables that nobody declared make a difference', () => {
  const key = keyOf({ filter: { a: 1, b: [{ c: 2, d: 3 }] } })
  expect(keyOf({ other: 1, after: 'x', filter: { b: [{ d: 3, c: 2 }], a: 1 } })).toBe(key)
  expect(keyOf({ filter: { a: 1, b: [{ c: 2, d: 4 }] } })).not.toBe(key)
  expect(keyOf({ filter: null })).not.toBe(keyOf({}))
})

test('a cursor in a fragment makes a difference, as it is not looked for there', () => {
  const query = 'subscription ($after: String) { ...f } fragment f on Subscription { feed(after: $after) { seq } }'
  expect(keyOf({ after: 'a' }, ANNA, query)).not.toBe(keyOf({ after: 'b' }, ANNA, query))
})
