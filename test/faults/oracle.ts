import { isFinal, isFinalEvent, type RunEventType, type RunStatus } from '../../src/engine/records.ts'
import { isJsonObject, type JsonObject, jsonEquals } from '../../src/json.ts'
import { mergePatch } from '../../src/session/mergePatch.ts'
import type { Began, Effect } from './effects.ts'
import type { EventRow, Rows, RunRow, StepRow } from './rows.ts'

/** What is known of a time in which processes died. */
export interface Evidence {
  readonly rows: Rows
  readonly effects: readonly Effect[]
  /** Processes that did not end by themselves: killed, stopped for long, or out of memory. */
  readonly dead: ReadonlySet<number>
  /** Requests that must have been accepted, by their idempotency keys. */
  readonly requests: readonly string[]
  /** What streams gave, by run, each from its first event to its last. */
  readonly transcripts: readonly { readonly runId: string; readonly events: readonly EventRow[] }[]
  /** How many runs must have been completed: a time in which nothing succeeded proves nothing. */
  readonly floor: number
  /** Runs that rightly have not ended. @default none */
  readonly waiting?: ReadonlySet<string>
}

export const RULES = {
  accepted: 'who was told of a run finds it, and a request has one run however often it was made',
  ended: 'an accepted run ends, and its session is idle then',
  results: 'a step has one recorded result, which one of its bodies returned',
  seq: 'the events of a run are numbered 1, 2, 3 …',
  final: 'a run has one final event, its last, which says what its row says',
  inputs: 'a body is given what is recorded of the step before it',
  state: 'the state of a session is what its recorded patches make of it, run after run',
  overlap: 'runs of a session are numbered 1, 2, 3 … and one begins after the one before has ended',
  bodies: 'a body runs again only where its process died, lost its run, or the attempt failed',
  keys: 'all attempts of a step have one idempotency key, and no other step has it',
  told: 'a stream gives every event once, in order, as it is recorded',
  floor: 'enough runs were completed',
} as const
export type Rule = keyof typeof RULES

/** What breaks a rule. */
export interface Breach {
  readonly rule: Rule
  readonly text: string
}

/** Every breach of a rule in what is recorded; none where nothing was lost, doubled or mixed up. */
export function judge(evidence: Evidence): Breach[] {
  const known = knowledgeOf(evidence)
  const checks: Record<Rule, (known: Known) => string[]> = {
    accepted,
    ended,
    results,
    seq,
    final,
    inputs,
    state,
    overlap,
    bodies,
    keys,
    told,
    floor,
  }
  // The keys of a record of rules are rules.
  const rules = Object.entries(checks) as [Rule, (known: Known) => string[]][]
  return rules.flatMap(([rule, check]) => check(known).map((text) => ({ rule, text })))
}

/** Evidence, looked up by what it is about. */
interface Known extends Evidence {
  readonly began: readonly Began[]
  readonly runs: ReadonlyMap<string, RunRow>
  readonly stepsOf: ReadonlyMap<string, readonly StepRow[]>
  readonly eventsOf: ReadonlyMap<string, readonly EventRow[]>
  readonly runsOf: ReadonlyMap<string, readonly RunRow[]>
  readonly beganOf: ReadonlyMap<string, readonly Began[]>
  readonly returned: ReadonlySet<string>
  /** `<pid> <runId>` of those that lost a run. */
  readonly fenced: ReadonlySet<string>
}

function knowledgeOf(evidence: Evidence): Known {
  const { rows, effects } = evidence
  const began = effects.filter((effect) => effect.type === 'began')
  return {
    ...evidence,
    began,
    runs: new Map(rows.runs.map((run) => [run.runId, run])),
    stepsOf: Map.groupBy(rows.steps, ({ runId }) => runId),
    eventsOf: Map.groupBy(rows.events, ({ runId }) => runId),
    runsOf: Map.groupBy(rows.runs, ({ sessionId }) => sessionId),
    beganOf: Map.groupBy(began, ({ runId, path }) => `${runId} ${path}`),
    returned: new Set(effects.flatMap((effect) => (effect.type === 'returned' ? [effect.token] : []))),
    fenced: new Set(effects.flatMap((effect) => (effect.type === 'fenced' ? [`${effect.pid} ${effect.runId}`] : []))),
  }
}

const over = ({ status }: RunRow): boolean => isFinal(status as RunStatus) // the column has no other values

function accepted({ effects, requests, rows, runs }: Known): string[] {
  const byKey = Map.groupBy(rows.runs, ({ key }) => key)
  return [
    ...effects.flatMap((effect) => {
      if (effect.type !== 'acknowledged') return []
      const { request, runId } = effect
      const run = runs.get(runId)
      if (!run) return [`request ${request} was told of run ${runId}, which is not there`]
      return run.key === request ? [] : [`request ${request} was told of run ${runId}, which is that of ${run.key}`]
    }),
    ...requests.flatMap((request) => {
      const count = byKey.get(request)?.length ?? 0
      return count === 1 ? [] : [`request ${request} has ${count} runs`]
    }),
  ]
}

function ended({ rows, runs, waiting = new Set() }: Known): string[] {
  return [
    ...rows.runs.flatMap((run) => (over(run) === !waiting.has(run.runId) ? [] : [`run ${run.runId} is ${run.status}`])),
    ...rows.sessions.flatMap(({ sessionId, activeRunId }) => {
      const active = activeRunId === null ? undefined : runs.get(activeRunId)
      if (activeRunId === null || (active && !over(active))) return []
      return [`session ${sessionId} has run ${activeRunId} as its active one, which is ${active?.status}`]
    }),
  ]
}

function results({ rows, stepsOf, beganOf, returned }: Known): string[] {
  return rows.runs.flatMap((run) => {
    const steps = stepsOf.get(run.runId) ?? []
    const paths = Map.groupBy(steps, ({ path }) => path)
    return [
      ...[...paths].flatMap(([path, rowsOfPath]) =>
        rowsOfPath.length === 1 ? [] : [`${path} of run ${run.runId} has ${rowsOfPath.length} results`],
      ),
      ...steps.flatMap((step) => {
        const named = `${step.path} of run ${run.runId}`
        if (over(run) && !step.completed) return [`${named} is ${step.status} in a run that is over`]
        if (step.kind !== 'step' || step.status !== 'COMPLETED') return []
        const token = tokenOf(step.output)
        const own = (beganOf.get(`${run.runId} ${step.path}`) ?? []).some((began) => began.token === token)
        return own && returned.has(token) ? [] : [`${named} has result ${step.output}, which no body of it returned`]
      }),
    ]
  })
}

function seq({ rows, eventsOf }: Known): string[] {
  return rows.runs.flatMap(({ runId }) => {
    const numbers = (eventsOf.get(runId) ?? []).map((event) => event.seq)
    const sound = numbers.length > 0 && numbers.every((number, index) => number === index + 1)
    return sound ? [] : [`the events of run ${runId} are ${numbers.join(', ')}`]
  })
}

function final({ rows, eventsOf }: Known): string[] {
  return rows.runs.flatMap((run) => {
    const events = eventsOf.get(run.runId) ?? []
    const finals = events.filter(({ type }) => isFinalEvent(type as RunEventType)) // the column has no other values
    const expected = over(run) ? [`RUN_${run.status}`] : []
    const found = finals.map(({ type }) => type)
    const last = !over(run) || events.at(-1)?.type === `RUN_${run.status}`
    if (jsonEquals(found, expected) && last) return []
    return [`run ${run.runId} is ${run.status}, and its events end ${events.map(({ type }) => type).join(', ')}`]
  })
}

function inputs({ began, stepsOf }: Known): string[] {
  return began.flatMap(({ runId, path, input, token }) => {
    const steps = stepsOf.get(runId) ?? []
    const from = steps.find((step) => step.path === path)?.inputFrom
    if (!from?.startsWith('step:')) return []
    const source = steps.find((step) => step.path === from.slice('step:'.length))
    // What containers give is put together from the results of what is in them.
    if (source && (source.kind !== 'step' || source.output === input)) return []
    return [`body ${token} of ${path} of run ${runId} was given ${input}, and ${from} has ${source?.output}`]
  })
}

function state({ rows, runsOf, stepsOf }: Known): string[] {
  return rows.sessions.flatMap((session) => {
    const faults: string[] = []
    let expected: JsonObject = {}
    for (const run of runsOf.get(session.sessionId) ?? []) {
      // One that was cancelled before it started has no states.
      if (run.stateBefore === null) {
        const changed = (stepsOf.get(run.runId) ?? []).some(({ patch }) => patch !== null)
        if (changed) faults.push(`run ${run.runId} changed the state, and what it began with is not recorded`)
        continue
      }
      if (!jsonEquals(run.stateBefore, expected)) {
        faults.push(`run ${run.runId} began with ${JSON.stringify(run.stateBefore)}, after ${JSON.stringify(expected)}`)
      }
      const patches = (stepsOf.get(run.runId) ?? []).flatMap(({ patch }) => (patch ? [patch] : []))
      // Only steps side by side could be in another order than that of their starts, and theirs do not touch each other.
      expected = patches.reduce(merged, run.stateBefore)
      if (run.stateAfter !== null && !jsonEquals(run.stateAfter, expected)) {
        faults.push(`run ${run.runId} ended with ${JSON.stringify(run.stateAfter)}, not ${JSON.stringify(expected)}`)
      }
    }
    if (!jsonEquals(session.state, expected)) {
      faults.push(`session ${session.sessionId} has ${JSON.stringify(session.state)}, not ${JSON.stringify(expected)}`)
    }
    return faults
  })
}

function merged(before: JsonObject, patch: JsonObject): JsonObject {
  const after = mergePatch(before, patch)
  return isJsonObject(after) ? after : before
}

function overlap({ rows, runsOf, began, dead, fenced, effects }: Known): string[] {
  const ends = new Map(effects.flatMap((effect) => (effect.type === 'returned' ? [[effect.token, effect.at]] : [])))
  const sound = began.filter(({ pid, runId }) => !dead.has(pid) && !fenced.has(`${pid} ${runId}`))
  const beganIn = Map.groupBy(sound, ({ runId }) => runId)
  return rows.sessions.flatMap(({ sessionId, runCount }) => {
    const runs = runsOf.get(sessionId) ?? []
    const numbers = runs.map(({ number }) => number)
    const faults =
      numbers.every((number, index) => number === index + 1) && numbers.length === runCount ? [] : [numbers]
    return [
      ...faults.map((found) => `session ${sessionId} has runs ${found.join(', ')} and counts ${runCount}`),
      ...runs.flatMap((run, index) => {
        const before = runs[index - 1]
        if (!before) return []
        const [last, first] = [before.completedAt, run.startedAt]
        const [bodiesBefore, bodies] = [beganIn.get(before.runId) ?? [], beganIn.get(run.runId) ?? []]
        const lastBody = Math.max(...bodiesBefore.map(({ token, at }) => ends.get(token) ?? at))
        const firstBody = Math.min(...bodies.map(({ at }) => at))
        // A run that was cancelled while it waited its turn may end before the one before it.
        const early = first !== null && last !== null && first < last && before.startedAt !== null
        if (!early && !(lastBody > firstBody)) return []
        return [`run ${run.runId} began before run ${before.runId} of session ${sessionId} had ended`]
      }),
    ]
  })
}

function bodies({ rows, beganOf, dead, fenced }: Known): string[] {
  const steps = new Map(rows.steps.map((step) => [`${step.runId} ${step.path}`, step]))
  const again = [...beganOf.values()].flatMap((later) => {
    const [first] = later
    const from = first && steps.get(`${first.runId} ${first.path}`)?.inputFrom.slice('step:'.length)
    const before = (first && beganOf.get(`${first.runId} ${from}`)) ?? []
    return before.flatMap(({ pid, runId, path, at }) =>
      first && at > first.at && !fenced.has(`${pid} ${runId}`)
        ? [`${path} of run ${runId} ran again after ${first.path} had been given its result`]
        : [],
    )
  })
  const often = [...beganOf].flatMap(([place, runsOfBody]) => {
    const step = steps.get(place)
    const sound = runsOfBody.filter(({ pid, runId }) => !dead.has(pid) && !fenced.has(`${pid} ${runId}`))
    const allowed = step?.tried ?? 0
    if (sound.length > allowed) {
      return [`${place} ran ${sound.length} times in processes that lived, with ${allowed} attempts recorded`]
    }
    const attempts = new Set(sound.map(({ attempt }) => attempt))
    return attempts.size === sound.length ? [] : [`${place} ran twice as the same attempt`]
  })
  return [...again, ...often]
}

function keys({ beganOf, began }: Known): string[] {
  const places = Map.groupBy(began, ({ key }) => key)
  return [
    ...[...beganOf].flatMap(([place, bodiesOf]) => {
      const found = new Set(bodiesOf.map(({ key }) => key))
      return found.size === 1 ? [] : [`${place} had the keys ${[...found].join(', ')}`]
    }),
    ...[...places].flatMap(([key, bodiesOf]) => {
      const found = new Set(bodiesOf.map(({ runId, path }) => `${runId} ${path}`))
      return found.size === 1 ? [] : [`${[...found].join(' and ')} had the key ${key}`]
    }),
  ]
}

function told({ transcripts, eventsOf }: Known): string[] {
  const lines = (events: readonly EventRow[]) =>
    events.map(({ seq: number, type, stepPath }) => `${number} ${type} ${stepPath ?? ''}`).join(', ')
  return transcripts.flatMap(({ runId, events }) => {
    const recorded = lines(eventsOf.get(runId) ?? [])
    const given = lines(events)
    return given === recorded ? [] : [`a stream of run ${runId} gave ${given}, and recorded is ${recorded}`]
  })
}

function floor({ rows, floor: least }: Known): string[] {
  const completed = rows.runs.filter(({ status }) => status === 'COMPLETED').length
  return completed >= least ? [] : [`${completed} runs were completed, not ${least}`]
}

function tokenOf(output: string | null): string {
  const value: unknown = output === null ? null : JSON.parse(output)
  return typeof value === 'object' && value !== null && 'token' in value ? String(value.token) : ''
}
