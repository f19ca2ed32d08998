import { setImmediate as turn } from 'node:timers/promises'
import { z } from 'zod'
import { Workflow } from '../../../src/author.ts'
import { NonRetryableError } from '../../../src/errors.ts'
import type { Json } from '../../../src/json.ts'
import { approval } from '../../../src/workflow/approval.ts'
import { condition } from '../../../src/workflow/condition.ts'
import type { OutputSource, ReadContext, StepContext } from '../../../src/workflow/context.ts'
import type { HasDefinition, WorkflowNode } from '../../../src/workflow/definition.ts'
import { loop } from '../../../src/workflow/loop.ts'
import { map } from '../../../src/workflow/map.ts'
import { nested } from '../../../src/workflow/nested.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { router } from '../../../src/workflow/router.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
import { sleep } from '../../../src/workflow/sleep.ts'
import { step } from '../../../src/workflow/step.ts'
import { waitForInput } from '../../../src/workflow/waitForInput.ts'
import {
  type ApprovalSpec,
  conditionSays,
  type ConditionSpec,
  type Given,
  type InputSpec,
  loopSays,
  type LoopSpec,
  mapSays,
  type MapSpec,
  outputOf,
  patchOf,
  PLANNED,
  routerSays,
  type RouterSpec,
  type StepSpec,
  type Tree,
  type TreeSpec,
  UNIT,
} from './spec.ts'

/** What the functions of a tree tell of themselves. */
export interface Watch {
  /** A body begins. */
  began(attempt: { readonly path: string; readonly attempt: number }): void
  /** A function that decides is asked, and would say this. @returns how often it was asked before */
  asked(place: string, says: Json): number
}

/** How long a step that hangs may take, in milliseconds. */
const HANG_MS = 20

/** The workflow that a tree describes. */
export function workflowOf(id: string, tree: Tree, watch: Watch): HasDefinition {
  return new Workflow({ id, name: `Tree ${id}`, steps: nodesOf(tree.steps, watch) })
}

/** The nodes of a list, of which each step may read the output of the first. */
function nodesOf(specs: readonly TreeSpec[], watch: Watch): WorkflowNode[] {
  const nodes: WorkflowNode[] = []
  for (const spec of specs) nodes.push(nodeOf(spec, watch, nodes[0]))
  return nodes
}

function nodeOf(spec: TreeSpec, watch: Watch, first?: WorkflowNode): WorkflowNode {
  const { name } = spec
  switch (spec.kind) {
    case 'step':
      return stepOf(spec, watch, first)
    case 'sequence':
      return sequence(name, nodesOf(spec.steps, watch))
    case 'parallel': {
      const { concurrency, failFast } = spec
      const steps = spec.steps.map((child) => nodeOf(child, watch))
      return parallel(name, steps, { failFast, ...(concurrency === null ? {} : { concurrency }) })
    }
    case 'condition':
      return conditionOf(spec, watch)
    case 'router':
      return routerOf(spec, watch)
    case 'loop':
      return loopOf(spec, watch)
    case 'map':
      return mapOf(spec, watch)
    case 'workflow':
      return nested(name, new Workflow({ name: `Nested ${name}`, steps: nodesOf(spec.steps, watch) }))
    case 'approval':
    case 'input':
      return waitOf(spec)
    case 'sleep':
      return sleep(name, spec.ms)
  }
}

/** Everything that passes through a run is JSON: the specification says so, and the tree gives nothing else. */
function givenOf({ stepPath, input, runInput, state }: ReadContext): Given {
  return { path: stepPath, input: input as Json, runInput: runInput as Json, state }
}

function stepOf(spec: StepSpec, watch: Watch, first?: WorkflowNode): WorkflowNode {
  const { name, maxAttempts, delayMs, onError, how, failures } = spec
  const run = async (context: StepContext): Promise<Json> => {
    const { attempt, signal, stepPath: path } = context
    const given = givenOf(context)
    watch.began({ path, attempt })
    for (let taken = 0; taken < spec.turns; taken += 1) await turn()
    if (attempt <= failures) await failure(spec, signal)
    const { patch } = spec
    if (patch) context.setState((state) => patchOf(patch, { ...given, state }))
    // The types of a tree's steps are not known; what was recorded is JSON.
    const read = spec.reads && first ? context.outputOf(first as OutputSource<Json>) : undefined
    const output = outputOf(spec, { ...given, read })
    return spec.gives === 'stop' ? context.stop(output) : output
  }
  const timeout = how === 'hangs' && failures > 0 ? { timeout: HANG_MS } : {}
  return step({ name, retry: { maxAttempts, delay: delayMs }, onError, ...timeout, run })
}

async function failure({ how }: StepSpec, signal: AbortSignal): Promise<never> {
  if (how === 'final') throw new NonRetryableError('planned, for good')
  if (how === 'throws') throw Object.assign(new Error('planned'), { code: PLANNED })
  const aborted = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => aborted.reject(new Error('the hanging step was aborted')))
  return await aborted.promise
}

function conditionOf(spec: ConditionSpec, watch: Watch): WorkflowNode {
  const decides = (context: ReadContext): boolean => {
    if (spec.says === 'throws') throw Object.assign(new Error('planned'), { code: PLANNED })
    const says = conditionSays(spec, givenOf(context))
    return watch.asked(context.stepPath, says) > 0 && spec.wavers ? !says : says
  }
  return condition(spec.name, { if: decides, then: nodesOf(spec.then, watch), else: nodesOf(spec.else, watch) })
}

function routerOf(spec: RouterSpec, watch: Watch): WorkflowNode {
  const select = ({ stepPath }: ReadContext): string | string[] => {
    const says = routerSays(spec)
    const wavers = watch.asked(stepPath, says) > 0 && spec.wavers
    const names = wavers ? spec.choices.map(({ name }) => name).reverse() : says
    const [name] = names
    return names.length === 1 && name !== undefined ? name : names
  }
  return router(spec.name, { select, choices: spec.choices.map((choice) => nodeOf(choice, watch)) })
}

function loopOf(spec: LoopSpec, watch: Watch): WorkflowNode {
  const { name, rounds, maxIterations, carry } = spec
  const steps = nodesOf(spec.steps, watch)
  if (rounds === null) return loop(name, { steps, maxIterations, carry })
  const until = ({ stepPath, iteration, output }: ReadContext & { iteration: number; output: unknown }): boolean => {
    // The output of an iteration is JSON, as every output.
    const says = loopSays(spec, iteration, output as Json)
    return watch.asked(`${stepPath}[${iteration}]`, says) > 0 && spec.wavers ? !says : says
  }
  return loop(name, { steps, maxIterations, carry, until })
}

function mapOf(spec: MapSpec, watch: Watch): WorkflowNode {
  const { name, concurrency } = spec
  const steps = nodesOf(spec.steps, watch)
  if (spec.items === null) return map(name, { steps, concurrency })
  const items = (context: ReadContext): string[] => {
    const says = mapSays(spec, givenOf(context))
    return watch.asked(context.stepPath, says) > 0 && spec.wavers ? ['another', ...says] : says
  }
  return map(name, { steps, concurrency, items })
}

function waitOf(spec: ApprovalSpec | InputSpec): WorkflowNode {
  const { name, end, byDefault } = spec
  if (spec.kind === 'approval') {
    const timed = { timeout: 2, ...(byDefault ? { onTimeout: spec.approved } : {}) } as const
    return approval(name, { prompt: ({ stepPath }) => `May ${stepPath} go on?`, ...(end === 'late' ? timed : {}) })
  }
  const schema = z.object({ value: z.number(), unit: z.string().default(UNIT) })
  const timed = { timeout: 20, ...(byDefault ? { onTimeout: { value: spec.value } } : {}) } as const
  return waitForInput(name, { prompt: 'What value?', schema, ...(end === 'late' ? timed : {}) })
}
