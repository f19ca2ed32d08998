import fc from 'fast-check'
import { ALWAYS, named, QUIET, steadied } from './change.ts'
import { expectedOf } from './model.ts'
import {
  type ApprovalSpec,
  type ConditionSpec,
  type InputSpec,
  type LoopSpec,
  type MapSpec,
  type NestedSpec,
  type ParallelSpec,
  type Patch,
  type RouterSpec,
  type SequenceSpec,
  type SleepSpec,
  type StepSpec,
  type Tree,
  type TreeSpec,
} from './spec.ts'

const MAX_DEPTH = 5
/** More steps than this in a run, and a thousand of them take too long. */
const MAX_ROWS = 60

/** Whether anything in a tree may end its run early. Without that, steps beside each other leave nothing open. */
type Mood = 'calm' | 'wild'

/** Whether a run of a tree is short enough. */
export function fits(tree: Tree): boolean {
  return expectedOf(tree).rows.size <= MAX_ROWS
}

function treesIn(mood: Mood): fc.Arbitrary<Tree> {
  return fc.record({
    steps: lists(mood, MAX_DEPTH),
    input: fc.constantFrom<Tree['input']>('in', null, 7, ['one', 'two'], { deep: [1] }),
    state: fc.constantFrom<Tree['state']>({}, { a: 0 }, { a: 1, deep: { x: 0 }, count: 3 }),
    eager: fc.boolean(),
  })
}

const memo = new Map<string, fc.Arbitrary<readonly TreeSpec[]>>()

function lists(mood: Mood, depth: number): fc.Arbitrary<readonly TreeSpec[]> {
  const key = `${mood} ${depth}`
  const list = memo.get(key) ?? fc.array(specs(mood, depth), { minLength: 1, maxLength: 3 })
  memo.set(key, list)
  return list
}

function specs(mood: Mood, depth: number): fc.Arbitrary<TreeSpec> {
  const leaves: fc.WeightedArbitrary<TreeSpec>[] = [
    { weight: 14 - 2 * depth, arbitrary: steps(mood) },
    { weight: 1, arbitrary: sleeps },
    { weight: 1, arbitrary: approvals(mood) },
    { weight: 1, arbitrary: inputs(mood) },
  ]
  if (depth === 1) return fc.oneof(...leaves)
  const inner = lists(mood, depth - 1)
  const containers: fc.WeightedArbitrary<TreeSpec>[] = [
    { weight: 2, arbitrary: sequences(inner) },
    { weight: 3, arbitrary: parallels(inner) },
    { weight: 2, arbitrary: conditions(inner, mood) },
    { weight: 2, arbitrary: routers(inner, mood) },
    { weight: 2, arbitrary: loops(inner) },
    { weight: 2, arbitrary: maps(inner, mood) },
    { weight: 1, arbitrary: listsOfItems(inner) },
    { weight: 1, arbitrary: workflows(inner) },
    { weight: mood === 'wild' ? 3 : 1, arbitrary: contests(mood) },
  ]
  return fc.oneof(...leaves, ...containers)
}

const name = fc.constant('')
/** Mostly the first: a choice whose others make trees long or slow. */
const rarely = fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) })

/** In calm trees, all write one value to one place: whoever does it beside others agrees with them. */
function patches(mood: Mood): fc.Arbitrary<Patch> {
  const value = mood === 'calm' ? fc.constant(1) : fc.constantFrom(0, 1)
  const agreeing: fc.Arbitrary<Patch>[] = [
    fc.record({ does: fc.constant('own') }),
    fc.record({ does: fc.constant('count') }),
    fc.record({ does: fc.constant('set'), key: fc.constantFrom('a', 'b'), value }),
    fc.record({ does: fc.constant('set deep'), key: fc.constantFrom('x', 'y'), value }),
  ]
  const removing: fc.Arbitrary<Patch> = fc.record({
    does: fc.constant('remove'),
    key: fc.constantFrom('a', 'deep'),
  })
  return mood === 'calm' ? fc.oneof(...agreeing) : fc.oneof(...agreeing, removing)
}

function steps(mood: Mood): fc.Arbitrary<StepSpec> {
  const wild = mood === 'wild' ? 1 : 0
  const step: fc.Arbitrary<StepSpec> = fc.record({
    kind: fc.constant('step'),
    name,
    gives: fc.oneof(
      { weight: 12, arbitrary: fc.constant('text') },
      { weight: 2, arbitrary: fc.nat(3) },
      { weight: wild, arbitrary: fc.constant('stop') },
    ),
    failures: fc.oneof(
      { weight: 10, arbitrary: fc.constant(0) },
      { weight: 3, arbitrary: fc.constantFrom(1, 2, 3) },
      { weight: 1 + wild, arbitrary: fc.constant(ALWAYS) },
    ),
    how: fc.constantFrom('throws', 'throws', 'throws', 'final', 'hangs'),
    maxAttempts: fc.constantFrom(1, 2, 3),
    delayMs: fc.constantFrom(0, 1, 20),
    onError: fc.constantFrom('fail', 'skip', 'pause'),
    said: fc.array(fc.constantFrom('SKIP', 'RETRY'), { maxLength: 3 }),
    patch: fc.option(patches(mood), { freq: 2 }),
    reads: rarely,
    turns: fc.nat(3),
  })
  return step.map((spec) => (mood === 'calm' ? soothed(spec) : spec)).map(plain)
}

/** The same step, but it does not fail. */
function soothed(spec: StepSpec): StepSpec {
  if (spec.onError === 'skip') return spec
  if (spec.onError === 'pause') return { ...spec, said: [...spec.said, 'SKIP'] }
  const failures = spec.how === 'throws' ? Math.min(spec.failures, spec.maxAttempts - 1) : 0
  return { ...spec, failures }
}

/** The same step, without settings that mean nothing. A step that hangs always does: its timeout holds for all attempts. */
function plain(spec: StepSpec): StepSpec {
  if (spec.failures === 0) return { ...spec, how: 'throws', maxAttempts: 1, delayMs: 0, onError: 'fail', said: [] }
  const said = spec.onError === 'pause' ? spec.said : []
  return { ...spec, said, failures: spec.how === 'hangs' ? ALWAYS : spec.failures }
}

const sleeps: fc.Arbitrary<SleepSpec> = fc.record({
  kind: fc.constant('sleep'),
  name,
  ms: fc.constantFrom(0, 1, 20),
})

function waits(mood: Mood) {
  const wild = mood === 'wild' ? 1 : 0
  return {
    name,
    end: fc.oneof(
      { weight: 6, arbitrary: fc.constant('answered') },
      { weight: 2, arbitrary: fc.constant('answered badly first') },
      { weight: 2, arbitrary: fc.constant('late') },
      { weight: wild, arbitrary: fc.constant('cancelled') },
    ),
    byDefault: wild === 1 ? fc.boolean() : fc.constant(true),
  } as const
}

function approvals(mood: Mood): fc.Arbitrary<ApprovalSpec> {
  return fc.record({
    kind: fc.constant('approval'),
    ...waits(mood),
    approved: fc.boolean(),
    comment: fc.boolean(),
  })
}

function inputs(mood: Mood): fc.Arbitrary<InputSpec> {
  return fc.record({ kind: fc.constant('input'), ...waits(mood), value: fc.nat(9) })
}

type Says = ConditionSpec['says']
type Lists = fc.Arbitrary<readonly TreeSpec[]>

function sequences(inner: Lists): fc.Arbitrary<SequenceSpec> {
  return fc.record({ kind: fc.constant('sequence'), name, steps: inner })
}

function workflows(inner: Lists): fc.Arbitrary<NestedSpec> {
  return fc.record({ kind: fc.constant('workflow'), name, steps: inner })
}

function parallels(inner: Lists): fc.Arbitrary<ParallelSpec> {
  return fc.record({
    kind: fc.constant('parallel'),
    name,
    steps: inner,
    concurrency: fc.constantFrom(null, null, 1, 2),
    failFast: fc.boolean(),
  })
}

/** Branches that all change the state, some before they wait for a person and some after. */
function contests(mood: Mood): fc.Arbitrary<ParallelSpec> {
  const writer = fc.tuple(steps('calm'), patches(mood)).map(([spec, patch]): TreeSpec => ({ ...spec, patch }))
  const waiting = fc.tuple(fc.boolean(), writer, approvals('calm')).map(
    ([first, write, wait]): TreeSpec => ({
      kind: 'sequence',
      name: '',
      steps: first ? [write, wait] : [wait, write],
    }),
  )
  return parallels(fc.array(fc.oneof(writer, waiting), { minLength: 2, maxLength: 3 }))
}

function conditions(inner: Lists, mood: Mood): fc.Arbitrary<ConditionSpec> {
  const says =
    mood === 'wild'
      ? fc.constantFrom<Says[]>(true, false, 'odd', 'throws')
      : fc.constantFrom<Says[]>(true, false, 'odd')
  return fc.record({
    kind: fc.constant('condition'),
    name,
    says,
    wavers: fc.boolean(),
    // oxlint-disable-next-line unicorn/no-thenable -- a list of steps, and no function: nothing takes it for a promise
    then: inner,
    else: fc.oneof(fc.constant([]), inner),
  })
}

function routers(inner: Lists, mood: Mood): fc.Arbitrary<RouterSpec> {
  return inner.chain((choices) => {
    const known = fc.uniqueArray(fc.nat(choices.length - 1), { minLength: 1 })
    return fc.record({
      kind: fc.constant('router'),
      name,
      choices: fc.constant(choices),
      selects:
        mood === 'calm' ? known : fc.oneof(known, known, fc.uniqueArray(fc.nat(choices.length), { maxLength: 3 })),
      wavers: fc.boolean(),
    })
  })
}

function loops(inner: Lists): fc.Arbitrary<LoopSpec> {
  return fc.record({
    kind: fc.constant('loop'),
    name,
    steps: inner,
    rounds: fc.constantFrom<LoopSpec['rounds'][]>(1, 2, 3, 'odd', null),
    maxIterations: fc.constantFrom(1, 2, 3),
    carry: fc.boolean(),
    wavers: fc.boolean(),
  })
}

function maps(inner: Lists, mood: Mood): fc.Arbitrary<MapSpec> {
  return fc.record({
    kind: fc.constant('map'),
    name,
    steps: inner,
    // Without items of its own it fails, unless its input happens to be a list.
    items: mood === 'calm' ? fc.nat(3) : fc.constantFrom(0, 1, 2, 3, 2, 3, null),
    concurrency: fc.constantFrom(10, 1, 2),
    wavers: fc.boolean(),
  })
}

/** A step that gives a list, and a map over that. */
function listsOfItems(inner: Lists): fc.Arbitrary<SequenceSpec> {
  return fc.record({ length: fc.nat(3), steps: inner, concurrency: fc.constantFrom(10, 1, 2) }).map(
    ({ length, steps: each, concurrency }): SequenceSpec => ({
      kind: 'sequence',
      name: '',
      steps: [
        { ...QUIET, gives: length },
        { kind: 'map', name: '', steps: each, items: null, concurrency, wavers: false },
      ],
    }),
  )
}

/** Trees of steps, half of which come to their end. Names are made in the end, by {@link named}. */
export const trees: fc.Arbitrary<Tree> = fc
  .oneof({ weight: 1, arbitrary: treesIn('calm') }, { weight: 1, arbitrary: treesIn('wild') })
  .map(named)
  .filter(fits)

/** Trees whose runs come to the same end when processes are stopped under them. */
export const steadyTrees: fc.Arbitrary<Tree> = trees.map(steadied).filter(fits)
