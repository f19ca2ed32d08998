import { describe, expect, test } from 'vitest'
import type { Effect } from './effects.ts'
import { type Evidence, judge, type Rule, RULES } from './oracle.ts'
import type { EventRow, Rows, RunRow, StepRow } from './rows.ts'

/** Two runs of one session, each of two steps, and what their bodies wrote down. */
function soundEvidence(): Evidence {
  const effects: Effect[] = []
  const [runs, steps, events]: [RunRow[], StepRow[], EventRow[]] = [[], [], []]
  for (const number of [1, 2]) {
    const runId = `run ${number}`
    const [base, before] = [number * 1_000, number === 1 ? {} : { a: 'a 1', b: 'b 1' }]
    runs.push({
      runId,
      sessionId: 'session',
      number,
      status: 'COMPLETED',
      key: `key ${number}`,
      startedAt: base,
      completedAt: base + 500,
      stateBefore: before,
      stateAfter: {
        a: `a ${number}`,
        b: `b ${number}`,
      },
    })
    effects.push({ type: 'acknowledged', pid: 1, at: base, request: `key ${number}`, runId })
    for (const [position, path] of ['a', 'b'].entries()) {
      const [token, at] = [`${path} ${number}`, base + 100 * (position + 1)]
      const output = JSON.stringify({ token })
      steps.push({
        runId,
        path,
        kind: 'step',
        status: 'COMPLETED',
        position,
        tried: 1,
        completed: true,
        inputFrom: position === 0 ? 'run' : 'step:a',
        output,
        patch: { [path]: token },
      })
      const input = position === 0 ? null : JSON.stringify({ token: `a ${number}` })
      const key = `${runId}:${path}`
      effects.push({ type: 'began', pid: 1, at, runId, path, attempt: 1, key, token, input })
      effects.push({ type: 'returned', pid: 1, at: at + 50, runId, path, token })
    }
    const types = ['RUN_QUEUED', 'RUN_STARTED', 'STEP_STARTED', 'STEP_COMPLETED', 'RUN_COMPLETED']
    for (const [index, type] of types.entries()) events.push({ runId, seq: index + 1, type, stepPath: null })
  }
  const sessions = [{ sessionId: 'session', state: { a: 'a 2', b: 'b 2' }, activeRunId: null, runCount: 2 }]
  return {
    rows: { runs, steps, events, sessions },
    effects,
    dead: new Set<number>(),
    requests: ['key 1', 'key 2'],
    transcripts: [{ runId: 'run 1', events: events.filter(({ runId }) => runId === 'run 1') }],
    floor: 2,
  }
}

/** The evidence with one row of a kind changed, or left out where there is nothing to put in its place. */
const withRow = <Kind extends keyof Rows>(
  kind: Kind,
  index: number,
  change: Partial<Rows[Kind][number]> | null,
): Evidence => {
  const sound = soundEvidence()
  const list: readonly Rows[Kind][number][] = sound.rows[kind]
  const changed = list.flatMap((row, at) => (at === index ? (change ? [{ ...row, ...change }] : []) : [row]))
  return { ...sound, rows: { ...sound.rows, [kind]: changed } }
}

const withEffects = (change: (effects: readonly Effect[]) => readonly Effect[]): Evidence => {
  const sound = soundEvidence()
  return { ...sound, effects: change(sound.effects) }
}

/** The first body of step `a` of run 1, once more, with what is different. */
const again = (given: { pid?: number; at: number; attempt?: number; key?: string }) =>
  withEffects((effects) =>
    effects.flatMap((effect) =>
      effect.type === 'began' && effect.token === 'a 1'
        ? [effect, { ...effect, token: 'another', ...given }]
        : [effect],
    ),
  )

const BROKEN: readonly (readonly [string, Rule, Evidence])[] = [
  ['a run that a caller was told of is not there', 'accepted', withRow('runs', 0, null)],
  ['a request has two runs', 'accepted', withRow('runs', 1, { key: 'key 1' })],
  ['a run has not ended', 'ended', withRow('runs', 1, { status: 'RUNNING', completedAt: null })],
  ['a session keeps a run that is over', 'ended', withRow('sessions', 0, { activeRunId: 'run 2' })],
  ['a step has two results', 'results', withRow('steps', 1, { path: 'a' })],
  ['a result is that of no body', 'results', withRow('steps', 1, { output: '{"token":"forged"}' })],
  ['a step is open in a run that is over', 'results', withRow('steps', 1, { completed: false, status: 'RUNNING' })],
  ['an event is missing', 'seq', withRow('events', 2, null)],
  ['an event is there twice', 'seq', withRow('events', 2, { seq: 2 })],
  ['a run has two final events', 'final', withRow('events', 3, { type: 'RUN_FAILED' })],
  ['the final event says something else than the row', 'final', withRow('runs', 0, { status: 'FAILED' })],
  ['a final event is not the last', 'final', withRow('events', 4, { type: 'LOG' })],
  ['a body was given another result than the recorded one', 'inputs', withRow('steps', 0, { output: '{"token":"x"}' })],
  ['a patch is lost', 'state', withRow('steps', 3, { patch: null })],
  ['a run began with an old state', 'state', withRow('runs', 1, { stateBefore: {} })],
  ['the state of the session is another', 'state', withRow('sessions', 0, { state: {} })],
  ['runs of a session overlap by their rows', 'overlap', withRow('runs', 1, { startedAt: 1_200 })],
  ['a number is missing', 'overlap', withRow('runs', 1, { number: 3 })],
  [
    'bodies of two runs of a session overlap',
    'overlap',
    withEffects((effects) =>
      effects.map((effect) =>
        effect.type === 'returned' && effect.token === 'b 1' ? { ...effect, at: 9_000 } : effect,
      ),
    ),
  ],
  ['a body ran twice in a process that lived', 'bodies', again({ at: 1_110, attempt: 2 })],
  ['a body ran again after the next one had its result', 'bodies', again({ pid: 2, at: 1_900, attempt: 2 })],
  ['an attempt has another key', 'keys', again({ at: 1_110, key: 'other' })],
  ['two steps have one key', 'keys', again({ at: 1_110, key: 'run 2:b' })],
]

describe('the oracle', () => {
  test('finds nothing in what is sound', () => {
    expect(judge(soundEvidence())).toEqual([])
  })

  test('excuses a body that runs again after its process died, or lost its run', () => {
    const dead = again({ pid: 2, at: 1_110, attempt: 2 })
    expect(judge({ ...dead, dead: new Set([2]) })).toEqual([])
    const fenced: Effect = { type: 'fenced', pid: 2, at: 1_200, runId: 'run 1' }
    expect(judge({ ...dead, effects: [...dead.effects, fenced] })).toEqual([])
  })

  test('knows that some runs rightly wait', () => {
    const sound = soundEvidence()
    expect(judge({ ...sound, waiting: new Set(['run 1']) })).toMatchObject([{ rule: 'ended' }])
  })

  test.each(BROKEN)('finds that %s', (_what, rule, evidence) => {
    expect(judge(evidence).map((breach) => breach.rule)).toContain(rule)
  })

  test('finds that a stream left something out, or gave it twice', () => {
    const sound = soundEvidence()
    const changes = [
      (events: readonly EventRow[]) => events.slice(1),
      (events: readonly EventRow[]) => [...events, ...events],
    ]
    for (const change of changes) {
      const transcripts = sound.transcripts.map(({ runId, events }) => ({ runId, events: change(events) }))
      expect(judge({ ...sound, transcripts })).toMatchObject([{ rule: 'told' }])
    }
  })

  test('finds that too little succeeded', () => {
    expect(judge({ ...soundEvidence(), floor: 3 })).toMatchObject([{ rule: 'floor' }])
  })

  test('is tried here with a breach of each of its rules', () => {
    const tried = new Set<string>([...BROKEN.map(([, rule]) => rule), 'told', 'floor'])
    expect([...tried].sort()).toEqual(Object.keys(RULES).sort())
  })
})
