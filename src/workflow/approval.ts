import { type Duration, MAX_DURABLE_MS } from '../clock.ts'
import { shown } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { ReadContext } from './context.ts'
import type { ApprovalNode } from './definition.ts'
import type { Flow, MaybePromise, Passes, TypedNode } from './infer.ts'
import { sealNode } from './nodes.ts'
import {
  readComputed,
  readDescription,
  readFlag,
  readNodeName,
  readOptions,
  readText,
  readTimeout,
  refused,
} from './validate.ts'

/** What an approval asks, and for how long. */
export interface ApprovalOptions<Input, State> {
  readonly description?: string | undefined
  /** What the person is asked. */
  readonly prompt: string | ((context: ReadContext<Input, State>) => MaybePromise<string>)
  /** How long to wait for the answer, up to 3,650 days. @default as long as it takes */
  readonly timeout?: Duration | undefined
  /** The answer where nobody gave one in time. @default the run fails */
  readonly onTimeout?: boolean | undefined
}

const APPROVAL_KEYS = [
  'description',
  'prompt',
  'timeout',
  'onTimeout',
] as const satisfies readonly (keyof ApprovalOptions<unknown, unknown>)[]

/** An approval as {@link approval} makes it. */
export type Approval<Name extends string, Input> = TypedNode<ApprovalNode, Name, Input, Approved<Input>> &
  Passes<ApprovalFlow>

/** What an approval yields: the answer, and its own input. */
export interface Approved<Input> {
  approved: boolean
  comment?: string
  input: Input
}

interface ApprovalFlow extends Flow {
  readonly out: Approved<this['in']>
}

/**
 * Pauses the run until a person says yes or no. It yields `{ approved, comment, input }`: the answer, and its own input.
 *
 * @throws KernError DEFINITION_INVALID with the name of the approval, the option, what was given and what is allowed
 */
export function approval<const Name extends string, Input = unknown, State = JsonObject>(
  name: Name,
  options: ApprovalOptions<Input, State>,
): Approval<Name, Input>
export function approval(name: unknown, given: unknown): ApprovalNode {
  const place = `approval ${shown(name)}`
  const options = readOptions(place, given, APPROVAL_KEYS)
  const node: ApprovalNode = {
    kind: 'approval',
    name: readNodeName('the name of an approval', name),
    description: readDescription(`description of ${place}`, options.description),
    prompt: readComputed(`prompt of ${place}`, options.prompt, readText),
    timeoutMs: readTimeout(`timeout of ${place}`, options.timeout, MAX_DURABLE_MS),
    onTimeout: readFlag(`onTimeout of ${place}`, options.onTimeout),
  }
  if (node.onTimeout !== null && node.timeoutMs === null) {
    throw refused(`onTimeout of ${place}`, node.onTimeout, 'allowed is none without a timeout')
  }
  return sealNode(node)
}
