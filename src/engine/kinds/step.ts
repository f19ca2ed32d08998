import type { StepNode } from '../../workflow/definition.ts'
import { definitionPathOf } from '../../workflow/nodes.ts'
import type { Body, BodyTools } from '../attemptOnce.ts'
import type { NodeOutcome, Scope } from '../execution.ts'
import type { Placed } from '../stepRecord.ts'
import { runWork } from '../work.ts'

/** Runs a function. */
export function runStep(scope: Scope, placed: Placed<StepNode>): Promise<NodeOutcome> {
  const run = scope.execution.overrides.get(definitionPathOf(placed.place.path)) ?? placed.node.run
  return runWork(scope, { ...placed, body: bodyOf(run) })
}

/** What a function returns; of an async generator what it returns, or else what it yielded last. */
export function bodyOf(run: StepNode['run']): Body {
  return async (context, tools) => {
    const returned = run(context)
    return isAsyncGenerator(returned) ? await drained(returned, tools) : await returned
  }
}

function isAsyncGenerator(value: unknown): value is AsyncGenerator<unknown, unknown, undefined> {
  return Object.prototype.toString.call(value) === '[object AsyncGenerator]'
}

/** Everything that it yields is a partial output; what cannot be stored fails it. */
async function drained(
  generator: AsyncGenerator<unknown, unknown, undefined>,
  { partial, copy, isOver }: BodyTools,
): Promise<unknown> {
  let last: unknown
  try {
    for (;;) {
      const { done, value } = await generator.next()
      if (done) return value === undefined ? last : value
      // Nobody waits for it any more.
      if (isOver()) return undefined
      last = value
      // Its author may change the value after that.
      partial(copy(value))
    }
  } finally {
    // Where it has not come to its end, it ends where it is, with what it has in `finally`.
    await generator.return(undefined)
  }
}
