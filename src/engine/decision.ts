import { copyJson, deepFreeze, type Json } from '../json.ts'
import type { ReadContext } from '../workflow/context.ts'
import { runAttempt } from './attempt.ts'
import { checkedJson, checkpoint, type Flow, type Place, type Scope } from './execution.ts'
import { describeFailure, StepFailure } from './failure.ts'
import { historyFor } from './nodeHistory.ts'
import { readContext } from './stepContext.ts'

export interface Deciding<Value> {
  readonly place: Place
  /** Whose earlier outputs the function may read, if that is another than the node. */
  readonly reader?: string
  readonly input: Flow
  /** Asks the author's function, and checks what it says. */
  readonly ask: (context: ReadContext) => Promise<Value>
}

/**
 * Asks a function of an author's that is not a step: it may read, and change nothing. It ends with the branch, also
 * where it never answers.
 *
 * @throws StepFailure if the function throws, or what it says is not allowed
 */
export async function consult<Value>(scope: Scope, { place, reader, input, ask }: Deciding<Value>): Promise<Value> {
  const { clock, graceMs, recorder } = scope.execution
  checkpoint(scope)
  await recorder.durable()
  const value = input.value === undefined ? undefined : deepFreeze(copyJson(input.value))
  const history = historyFor(scope)
  const state = scope.state.state
  const result = await runAttempt({
    clock,
    graceMs,
    signal: scope.signal,
    timeoutMs: null,
    body: (signal) =>
      ask(
        readContext(scope, { path: place.path, ...(reader ? { reader } : {}), input: value, state, history, signal }),
      ),
  })
  switch (result.type) {
    case 'returned':
      return result.value
    case 'threw':
      throw new StepFailure(describeFailure(result.error, place.path))
    case 'aborted':
      checkpoint(scope)
      throw new StepFailure(describeFailure(scope.signal.reason, place.path))
  }
}

/** Records what a node has decided, and waits until it is durable: whoever goes on later does not ask again. */
export async function recordDecision({ execution }: Scope, { path }: Place, decision: Json): Promise<void> {
  const record = execution.steps.get(path)
  if (!record) throw new Error(`step ${path} decides before it has started`)
  const decided = { ...record, decision: checkedJson(execution, decision) }
  execution.steps.set(path, decided)
  await execution.recorder.commit({ steps: [decided] })
}

/** What a node has decided before; undefined if nothing. */
export function recordedDecision({ execution }: Scope, { path }: Place): Json | undefined {
  return execution.steps.get(path)?.decision
}
