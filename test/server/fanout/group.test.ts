import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { LiveStream } from '../../../src/engine/api.ts'
import type { Place } from '../../../src/engine/cursor.ts'
import type { Frame } from '../../../src/server/fanout/frame.ts'
import { createGroup, type Group, type Item, type Member } from '../../../src/server/fanout/group.ts'
import { pullFrom } from '../../../src/server/fanout/pull.ts'
import { createShelf } from '../../../src/server/fanout/recent.ts'
import { createRounds } from '../../../src/server/fanout/rounds.ts'
import { createGate } from '../tiny.ts'

const at = (number: number, seq: number, queued = 0): Place => ({ number, seq, queued })

interface Step {
  readonly item: Item
  /** Where the stream is with it. */
  readonly place: Place
  readonly bytes?: number
}

/** Event `seq` of run `number`, in its turn. */
const inTurn = (number: number, seq: number, queued = 0, bytes = 10): Step => {
  return { item: { spot: { number, seq } }, place: at(number, seq, queued), bytes }
}

/** Event 1 of a run, told while the stream is somewhere before it. */
const early = (queued: number, { number, seq }: Place): Step => {
  return { item: { spot: { number: queued, seq: 1 } }, place: at(number, seq, queued) }
}

/** A stream that gives what it is told to, when it is told to. */
function createScript(start: Place) {
  let place: Place = start
  let give: (result: IteratorResult<Item, undefined>) => void = () => undefined
  const stream: LiveStream<Item> = {
    next: () =>
      new Promise((resolve) => {
        give = resolve
      }),
    return: async () => ({ done: true, value: undefined }),
    place: () => place,
    caughtUp: async () => undefined,
    [Symbol.asyncIterator]() {
      return this
    },
  }
  return {
    stream,
    take(step: Step): void {
      place = step.place
      give({ done: false, value: step.item })
    },
  }
}

function createMember() {
  const got: string[] = []
  const member: Member = {
    ended: false,
    push: ({ spot }) => got.push(`${spot?.number}.${spot?.seq}`),
    over: () => got.push('over'),
  }
  return { member, got }
}

/** A group whose stream is at the place, with one member. */
function found(start: Place) {
  const { stream, take } = createScript(start)
  const first = createMember()
  const bytes = new Map<Item, number>()
  /** Holds frames back while they are made. */
  const hold: { until: Promise<void> } = { until: Promise.resolve() }
  const group: Group = createGroup(first.member, {
    source: stream,
    pull: pullFrom(stream),
    recent: createShelf()(start),
    rounds: createRounds(),
    frame: async (item, place): Promise<Frame> => {
      await hold.until
      return { payload: Buffer.alloc(bytes.get(item) ?? 10), spot: item.spot ?? null, place }
    },
    mask: (error) => error as never,
    onOver: () => undefined,
  })
  /** Gives an event, and resolves when the first member has it. */
  const tell = async (step: Step): Promise<void> => {
    bytes.set(step.item, step.bytes ?? 10)
    const count = first.got.length
    take(step)
    while (first.got.length === count) await nextTurn()
    await nextTurn()
  }
  return { group, tell, take, hold, got: first.got }
}

test('who is a little behind gets what the others have had, and then what they get', async () => {
  const { group, tell } = found(at(1, 3))
  await tell(inTurn(1, 4))
  await tell(inTurn(1, 5))
  const late = createMember()
  expect(group.admit(late.member, at(1, 4))).toBe('live')
  await tell(inTurn(1, 6))
  expect(late.got).toEqual(['1.5', '1.6'])
})

test('who is further behind than what is kept goes on alone', async () => {
  const { group, tell } = found(at(1, 3))
  await tell(inTurn(1, 4))
  expect(group.admit(createMember().member, at(1, 2))).toBe('alone')
  expect(group.admit(createMember().member, at(1, 3))).toBe('live')
})

test('who is behind by more bytes than may be sent at once goes on alone, but for one event', async () => {
  const { group, tell } = found(at(1, 3))
  await tell(inTurn(1, 4, 0, 60_000))
  await tell(inTurn(1, 5, 0, 90_000))
  expect(group.admit(createMember().member, at(1, 3))).toBe('alone')
  expect(group.admit(createMember().member, at(1, 4))).toBe('live')
})

test('who has an event already that is being executed for the group does not get it again', async () => {
  const { group, take, tell, hold, got } = found(at(1, 3))
  const gate = createGate()
  hold.until = gate.opened
  take(inTurn(1, 4))
  await nextTurn()
  const ahead = createMember()
  const admission = group.admit(ahead.member, at(1, 4))
  expect(admission).toBeInstanceOf(Promise)
  gate.open()
  expect(await admission).toBe('live')
  while (got.length === 0) await nextTurn()
  await nextTurn()
  await tell(inTurn(1, 5))
  expect([got, ahead.got]).toEqual([['1.4', '1.5'], ['1.5']])
})

test('who is ahead of events that nobody asks for gets the next that is asked for', async () => {
  const { group, tell } = found(at(1, 3))
  const ahead = createMember()
  const admission = group.admit(ahead.member, at(1, 6))
  await tell(inTurn(1, 8))
  expect(await admission).toBe('live')
  expect(ahead.got).toEqual(['1.8'])
})

test('who is ahead is given no event whose cursor would lead them back', async () => {
  const { group, tell } = found(at(1, 3))
  const ahead = createMember()
  const admission = group.admit(ahead.member, at(1, 6))
  await tell(inTurn(1, 4))
  // They do not have it; but after it they would be given 5 and 6 again.
  await tell(early(2, at(1, 4)))
  expect(await admission).toBe('alone')
  expect(ahead.got).toEqual([])
})

test('who was told early of a run is given no event whose cursor does not know of it', async () => {
  const { group, tell } = found(at(1, 3))
  const ahead = createMember()
  const admission = group.admit(ahead.member, at(1, 3, 2))
  await tell(inTurn(1, 4))
  expect(await admission).toBe('alone')
  // Nor is it afterwards, when the group knows of the run, too.
  await tell(early(2, at(1, 4)))
  expect(group.admit(ahead.member, at(1, 3, 2))).toBe('alone')
  expect(group.admit(ahead.member, at(1, 4, 2))).toBe('live')
  await tell(inTurn(1, 5, 2))
  expect(ahead.got).toEqual(['1.5'])
})

test('who waits until the group has come to them may leave, and goes on alone if the group ends', async () => {
  const { group } = found(at(1, 3))
  const [one, other] = [createMember(), createMember()]
  const admissions = [group.admit(one.member, at(1, 6)), group.admit(other.member, at(1, 6))]
  group.leave(one.member)
  expect(await admissions[0]).toBe('alone')
  group.leave(other.member)
  expect(await admissions[1]).toBe('alone')
  expect([one.got, other.got]).toEqual([[], []])
})
