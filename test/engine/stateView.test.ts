import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createStateView, type StateView } from '../../src/engine/stateView.ts'
import { canonicalText, isJsonObject, type Json, type JsonObject } from '../../src/json.ts'

/**
 * The model: a list of writes, in the order in which they came. A step sees those that did not run beside it. Two writes
 * contradict each other where both name a place and do not give it the same.
 */
interface Write {
  readonly path: string
  /** For each fork around the step, from the outside in: the fork, and the branch of it. */
  readonly place: readonly { readonly fork: number; readonly branch: number }[]
  readonly patch: JsonObject
}

const besides = (one: Write, other: Write) =>
  one.place.some(({ fork, branch }) => other.place.some((at) => at.fork === fork && at.branch !== branch))

/** Every place that a patch names, with what it gives it; an object gives nothing but what is in it. */
function named(patch: JsonObject, around: readonly string[] = []): Map<string, string> {
  const places = new Map<string, string>()
  for (const [key, value] of Object.entries(patch)) {
    const at = [...around, key]
    places.set(at.join('.'), isJsonObject(value) ? 'an object' : canonicalText(value))
    if (isJsonObject(value)) for (const [place, given] of named(value, at)) places.set(place, given)
  }
  return places
}

/** The places at which two patches contradict each other. */
function contradictions(one: JsonObject, other: JsonObject): string[] {
  const others = named(other)
  return [...named(one)].flatMap(([place, given]) => ((others.get(place) ?? given) === given ? [] : [place]))
}

/** RFC 7396, word for word. */
function merged(target: Json | undefined, patch: Json): Json {
  if (!isJsonObject(patch)) return patch
  const result: Record<string, Json> = isJsonObject(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = merged(result[key], value)
  }
  return result
}

const after = (state: JsonObject, writes: readonly Write[]): Json =>
  writes.reduce<Json>((made, { patch }) => merged(made, patch), state)

/** Steps one after another, each with what it writes, and forks with branches of such steps. */
type Item = Planned | { readonly fork: number; readonly branches: readonly (readonly Item[])[] }

interface Planned extends Write {
  done: 'taken' | 'refused' | null
}

type Plan = readonly (JsonObject | { readonly branches: readonly Plan[] })[]

const value = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<Json>(1, 2, null, 'x', [1], [2], []) },
  { weight: 2, arbitrary: fc.constantFrom<Json>({}, { a: 1 }, { a: 2 }, { b: null }, { a: { b: 1 } }) },
)
const patch = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), value, { minKeys: 1, maxKeys: 2 })
const { plan } = fc.letrec<{ plan: Plan; fork: { branches: Plan[] } }>((tie) => ({
  plan: fc.array(
    fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      { weight: 3, arbitrary: patch },
      { weight: 1, arbitrary: tie('fork') },
    ),
    { maxLength: 4 },
  ),
  fork: fc.record({ branches: fc.array(tie('plan'), { minLength: 1, maxLength: 3 }) }),
}))
const state = fc.dictionary(
  fc.constantFrom('a', 'b', 'e'),
  value.filter((given) => given !== null),
  { maxKeys: 3 },
)

/** Gives the steps of a plan their paths, and the forks their numbers. */
function placed(steps: Plan): Item[] {
  let count = 0
  const all = (below: Plan, place: Write['place']): Item[] =>
    below.map((item) => {
      count += 1
      const fork = count
      if (!isFork(item)) return { path: `s${count}`, place, patch: item, done: null }
      const branches = item.branches.map((branch, index) => all(branch, [...place, { fork, branch: index }]))
      return { fork, branches }
    })
  return all(steps, [])
}

const isFork = (item: Plan[number]): item is { readonly branches: readonly Plan[] } => Array.isArray(item['branches'])

const seenInAll = { conflicts: 0, agreements: 0, replays: 0 }

/** Executes planned steps with views, one write at each turn, and compares every one with the model. */
function createRun(initial: JsonObject, choose: (count: number) => number) {
  const writes: Write[] = []
  let made = 0

  function write(view: StateView, item: Planned): void {
    made += 1
    const seen = writes.filter((other) => !besides(item, other))
    expect(view.state).toEqual(after(initial, seen))
    const beside = writes.filter((other) => besides(item, other))
    const against = beside.filter((other) => contradictions(item.patch, other.patch).length > 0)
    const conflict = view.conflict(item.path, item.patch)
    item.done = conflict ? 'refused' : 'taken'
    if (!conflict) {
      expect(against).toEqual([])
      if (beside.some((other) => [...named(item.patch).keys()].some((place) => named(other.patch).has(place)))) {
        seenInAll.agreements += 1
      }
      view.apply(item.path, item.patch)
      writes.push(item)
    } else {
      seenInAll.conflicts += 1
      const place = conflict.keys.join('.')
      expect(against.flatMap((other) => contradictions(item.patch, other.patch))).toContain(place)
      const other = beside.find(({ path }) => path === conflict.path)
      expect(other && [...named(other.patch).keys()]).toContain(place)
    }
  }

  function* walk(view: StateView, items: readonly Item[]): Generator<void> {
    for (const item of items) {
      if ('branches' in item) yield* branches(view, item.branches)
      else if (item.done === 'taken') view.apply(item.path, item.patch)
      else if (item.done === null) {
        yield
        write(view, item)
      }
    }
  }

  function* branches(view: StateView, lists: readonly (readonly Item[])[]): Generator<void> {
    const fork = view.fork()
    lists.forEach((items, index) => {
      for (const { path, patch: done } of inOrder(items, false)) fork.recall(index, path, done)
    })
    const begin = (items: readonly Item[], index: number) => ({
      items,
      index,
      steps: walk(fork.branch(index), items),
      over: false,
    })
    const open = lists.map(begin)
    for (;;) {
      const left = open.filter(({ over }) => !over)
      const branch = left[choose(left.length)]
      if (!branch) return
      yield
      // One that has waited is walked again from its start.
      if (choose(8) === 0) {
        seenInAll.replays += 1
        open[branch.index] = begin(branch.items, branch.index)
      } else branch.over = branch.steps.next().done === true
    }
  }

  return { writes, walk, made: () => made }
}

/** The writes in the order of the tree, forwards or with the last branch of each fork first. */
function inOrder(items: readonly Item[], backwards: boolean): Planned[] {
  return items.flatMap((item) => {
    if (!('branches' in item)) return item.done === 'taken' ? [item] : []
    const lists = item.branches.map((branch) => inOrder(branch, backwards))
    return (backwards ? lists.reverse() : lists).flat()
  })
}

describe('the state of branches', () => {
  const given = { initial: state, plan, choices: fc.infiniteStream(fc.nat(1_000)) }

  test('is what its own writes make of the fork, and a write is refused exactly where one beside it differs', () => {
    fc.assert(
      fc.property(fc.record(given), ({ initial, plan: steps, choices }) => {
        const items = placed(steps)
        const run = createRun(initial, (count) => choices.next().value % count)
        const view = createStateView(initial)
        for (const _turn of run.walk(view, items));
        expect(view.state).toEqual(after(initial, run.writes))
        // Whatever the order of the branches was.
        expect(view.state).toEqual(after(initial, inOrder(items, false)))
        expect(view.state).toEqual(after(initial, inOrder(items, true)))
      }),
      { numRuns: 3_000 },
    )
    // Else nothing was compared.
    expect(Math.min(...Object.values(seenInAll))).toBeGreaterThan(100)
  })

  test('is the same when the run is walked again from its start, at any point', () => {
    fc.assert(
      fc.property(fc.record({ ...given, again: fc.nat(6) }), ({ initial, plan: steps, choices, again }) => {
        const items = placed(steps)
        const run = createRun(initial, (count) => choices.next().value % count)
        let view = createStateView(initial)
        let turns = run.walk(view, items)
        let since = 0
        while (!turns.next().done) {
          if (run.made() - since <= again) continue
          since = run.made()
          view = createStateView(initial)
          turns = run.walk(view, items)
        }
        expect(view.state).toEqual(after(initial, run.writes))
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('two steps that ran at the same time', () => {
  /** What the second of two branches contradicts in the first. */
  const conflictOf = (first: JsonObject, second: JsonObject) => {
    const fork = createStateView({ a: { b: 1, c: 1 } }).fork()
    fork.branch(0).apply('first', first)
    return fork.branch(1).conflict('second', second)
  }

  test.each<[string, JsonObject, JsonObject, readonly string[]]>([
    ['different values', { x: 1 }, { x: 2 }, ['x']],
    ['a value and nothing', { a: null }, { a: 1 }, ['a']],
    ['different values deep inside', { a: { b: { c: 1 } } }, { a: { b: { c: 2 } } }, ['a', 'b', 'c']],
    ['a value in the place of an object that the other changes', { a: 1 }, { a: { b: 2 } }, ['a']],
    ['nothing in the place of an object that the other changes', { a: { b: 2 } }, { a: null }, ['a']],
    ['arrays that differ, as wholes', { x: [1, 2] }, { x: [1, 3] }, ['x']],
    ['arrays of which one is longer', { x: [1] }, { x: [1, 2] }, ['x']],
  ])('conflict where they set %s', (_title, first, second, keys) => {
    expect(conflictOf(first, second)).toEqual({ path: 'first', keys })
    expect(conflictOf(second, first)).toEqual({ path: 'first', keys })
  })

  test.each<[string, JsonObject, JsonObject]>([
    ['different keys', { x: 1 }, { y: 2 }],
    ['different keys of one object', { a: { b: 2 } }, { a: { c: 2 } }],
    ['the same value', { x: [{ y: 1 }] }, { x: [{ y: 1 }] }],
    ['nothing both', { a: { b: null } }, { a: { b: null } }],
    ['nothing in an object', { a: {} }, { a: { b: 2 } }],
  ])('agree where they set %s', (_title, first, second) => {
    expect(conflictOf(first, second)).toBeNull()
    expect(conflictOf(second, first)).toBeNull()
  })

  test('conflict also by a value that was replaced since, and the one that set it is named', () => {
    const fork = createStateView({}).fork()
    const branch = fork.branch(0)
    branch.apply('once', { x: 1 })
    branch.apply('then', { x: 2 })
    expect(fork.branch(1).conflict('other', { x: 2 })).toEqual({ path: 'once', keys: ['x'] })
    expect(fork.branch(1).conflict('other', { x: 1 })).toEqual({ path: 'then', keys: ['x'] })
    expect(branch.conflict('again', { x: 3 })).toBeNull()
  })

  test('conflict across forks in forks, and not with what came before the fork', () => {
    const root = createStateView({})
    root.apply('before', { x: 0 })
    const outer = root.fork()
    const inner = outer.branch(0).fork()
    inner.branch(0).apply('deep', { x: 1 })
    const place = { path: 'deep', keys: ['x'] }
    expect(inner.branch(1).conflict('beside', { x: 2 })).toEqual(place)
    expect(outer.branch(1).conflict('outside', { x: 2 })).toEqual(place)
    expect(root.conflict('after', { x: 2 })).toBeNull()
    expect(root.state).toEqual({ x: 1 })
    expect(outer.branch(1).state).toEqual({ x: 0 })
  })
})
