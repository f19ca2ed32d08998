import { type Duration, MAX_DURABLE_MS } from '../clock.ts'
import { KernError, shown } from '../errors.ts'
import { deepFreeze, type Json, type JsonObject } from '../json.ts'
import type { ReadContext } from './context.ts'
import type { InputNode, Schema } from './definition.ts'
import type { MaybePromise, SchemaInput, SchemaOutput, TypedNode } from './infer.ts'
import { sealNode } from './nodes.ts'
import { faultsText, validateNow } from './schemaCheck.ts'
import {
  readComputed,
  readDescription,
  readJson,
  readNodeName,
  readOptions,
  readSchema,
  readText,
  readTimeout,
  refused,
} from './validate.ts'

/** What a person is asked for, and for how long. */
export interface InputOptions<Input, State, Answer extends Schema> {
  readonly description?: string | undefined
  /** What the person is asked. */
  readonly prompt: string | ((context: ReadContext<Input, State>) => MaybePromise<string>)
  /** Checks the answer; the right neighbour gets what it gives. */
  readonly schema: Answer
  /** How long to wait for the answer, up to 3,650 days. @default as long as it takes */
  readonly timeout?: Duration | undefined
  /** The answer where nobody gave one in time, as the schema accepts it. @default the run fails */
  readonly onTimeout?: SchemaInput<Answer> | undefined
}

const INPUT_KEYS = [
  'description',
  'prompt',
  'schema',
  'timeout',
  'onTimeout',
] as const satisfies readonly (keyof InputOptions<unknown, unknown, Schema>)[]

/** A wait for input as {@link waitForInput} makes it. */
export type WaitForInput<Name extends string, Input, Output> = TypedNode<InputNode, Name, Input, Output>

/**
 * Pauses the run until a person gives data that fits a schema. It yields the data.
 *
 * @throws KernError DEFINITION_INVALID with the name of the node, the option, what was given and what is allowed
 */
export function waitForInput<const Name extends string, Answer extends Schema, Input = unknown, State = JsonObject>(
  name: Name,
  options: InputOptions<Input, State, Answer>,
): WaitForInput<Name, Input, SchemaOutput<Answer>>
export function waitForInput(name: unknown, given: unknown): InputNode {
  const place = `waitForInput ${shown(name)}`
  const options = readOptions(place, given, INPUT_KEYS)
  const schema = readSchema(`schema of ${place}`, options.schema)
  if (schema === null) {
    throw new KernError('DEFINITION_INVALID', `${place} has no schema: it is needed to check the answer`)
  }
  const timeoutMs = readTimeout(`timeout of ${place}`, options.timeout, MAX_DURABLE_MS)
  if (options.onTimeout !== undefined && timeoutMs === null) {
    throw refused(`onTimeout of ${place}`, options.onTimeout, 'allowed is none without a timeout')
  }
  return sealNode({
    kind: 'input',
    name: readNodeName('the name of a waitForInput', name),
    description: readDescription(`description of ${place}`, options.description),
    prompt: readComputed(`prompt of ${place}`, options.prompt, readText),
    timeoutMs,
    schema,
    onTimeout: options.onTimeout === undefined ? null : readDefault(place, schema, options.onTimeout),
  })
}

/** An answer that the schema refuses at once is refused here; one that it checks later, when it is needed. */
function readDefault(place: string, schema: Schema, given: unknown): { readonly data: Json } {
  const data = deepFreeze(readJson(`onTimeout of ${place}`, given))
  const checked = validateNow(schema, data)
  if (checked !== null && 'issues' in checked) {
    throw refused(`onTimeout of ${place}`, given, `allowed is what its schema accepts; ${faultsText(checked.issues)}`)
  }
  return Object.freeze({ data })
}
