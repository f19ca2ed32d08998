import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Hint } from '../../src/engine/hints.ts'
import { decodeHints, encodeHints, isFrom } from '../../src/events/hintCode.ts'
import { createOutbox } from '../../src/events/outbox.ts'
import { newId } from '../../src/ids.ts'

const id = fc.string({ unit: 'binary', maxLength: 200 })
const hint: fc.Arbitrary<Hint> = fc.oneof(
  fc.record({ type: fc.constant('changed' as const), runId: id, sessionId: id, workflowId: id, settled: fc.boolean() }),
  fc.record({ type: fc.constant('asked' as const), runId: id }),
  fc.constantFrom({ type: 'waiting' } as const, { type: 'missed' } as const),
)

const read = (messages: readonly string[]): (Hint | undefined)[] =>
  messages.flatMap((message): readonly (Hint | undefined)[] => decodeHints(message)?.hints ?? [undefined])

describe('hints as messages', () => {
  test('are read as they were told, whatever the ids, from messages that the server takes', () => {
    fc.assert(
      fc.property(id, fc.array(hint, { maxLength: 60 }), (from, hints) => {
        const messages = encodeHints(from, hints)
        expect(read(messages)).toEqual(hints)
        for (const message of messages) {
          expect(message).toMatch(/^[\x20-\x7e]{1,7999}$/)
          expect(isFrom(from, message)).toBe(true)
          expect(isFrom(`${from}x`, message)).toBe(false)
          expect(decodeHints(message)?.from).toBe(from)
        }
      }),
    )
  })

  test('fill each message as far as it goes', () => {
    const hints = Array.from({ length: 500 }, (): Hint => ({ type: 'asked', runId: newId() }))
    const messages = encodeHints('me', hints)
    expect(read(messages)).toEqual(hints)
    expect(messages.length).toBe(Math.ceil(messages.join('').length / 7_900))
  })

  test('say to look at everything where an id fits in no message', () => {
    const long: Hint = { type: 'asked', runId: 'x'.repeat(8_000) }
    expect(read(encodeHints('me', [{ type: 'waiting' }, long]))).toEqual([{ type: 'waiting' }, { type: 'missed' }])
  })

  test.each([
    '',
    'x',
    'null',
    '[]',
    '{}',
    '[1,["waiting"]]',
    '["me",7]',
    '["me",null]',
    '["me",["waiting"],["unheard of","r"]]',
    '["me",["asked"]]',
    '["me",["asked",{"toString":1}]]',
    '["me",["changed","r","s","w"]]',
    '["me",["changed","r","s","w","yes"]]',
    '["me",["changed","r","s",null,true]]',
  ])('are not read from %s', (garbage) => {
    expect(decodeHints(garbage)).toBeUndefined()
  })

  test('are not read from any text that is none', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        for (const told of decodeHints(text)?.hints ?? []) expect(told).toHaveProperty('type')
      }),
    )
  })
})

describe('hints that wait to be sent', () => {
  const changed = (runId: string, settled = false): Hint => ({
    type: 'changed',
    runId,
    sessionId: 's',
    workflowId: 'w',
    settled,
  })

  test('are sent once each, and a change of a run that has settled stays one', () => {
    const outbox = createOutbox('me')
    expect(outbox.isEmpty()).toBe(true)
    for (const told of [changed('a'), changed('b'), changed('a', true), changed('a'), changed('b')]) outbox.add(told)
    for (let time = 1; time <= 3; time += 1) {
      outbox.add({ type: 'waiting' })
      outbox.add({ type: 'asked', runId: 'c' })
    }
    expect(outbox.isEmpty()).toBe(false)
    expect(read(outbox.take())).toEqual([
      { type: 'waiting' },
      { type: 'asked', runId: 'c' },
      changed('a', true),
      changed('b'),
    ])
    expect(outbox.isEmpty()).toBe(true)
    expect(outbox.take()).toEqual([])
  })

  test('are replaced by one that says to look at everything where there are too many', () => {
    const outbox = createOutbox('me')
    for (let count = 0; count < 2_400; count += 1) outbox.add({ type: 'asked', runId: newId() })
    outbox.add({ type: 'waiting' })
    expect(read(outbox.take())).toEqual([{ type: 'missed' }])
    outbox.add(changed('a'))
    expect(read(outbox.take())).toEqual([changed('a')])
  })

  test('are replaced likewise where they would be too many messages', () => {
    const outbox = createOutbox('me')
    const sessionId = 'x'.repeat(1_000)
    for (let count = 0; count < 1_000; count += 1) {
      outbox.add({ type: 'changed', runId: newId(), sessionId, workflowId: 'w', settled: false })
    }
    expect(read(outbox.take())).toEqual([{ type: 'missed' }])
  })
})
