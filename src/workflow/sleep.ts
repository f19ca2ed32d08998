import { type Duration, MAX_DURABLE_MS } from '../clock.ts'
import { shown } from '../errors.ts'
import type { SleepNode } from './definition.ts'
import type { Flow, Passes, TypedNode } from './infer.ts'
import { sealNode } from './nodes.ts'
import { readDescription, readDuration, readNodeName, readOptions, refused } from './validate.ts'

/** What else a sleep may have. */
export interface SleepOptions {
  readonly description?: string | undefined
}

const SLEEP_KEYS = ['description'] as const satisfies readonly (keyof SleepOptions)[]

/** A sleep as {@link sleep} makes it. */
export type Sleep<Name extends string> = TypedNode<SleepNode, Name, unknown, unknown> & Passes<SleepFlow>

interface SleepFlow extends Flow {
  readonly out: this['in']
}

/**
 * Waits, up to 3,650 days: the run goes on after it even if every process was restarted in between. It yields its input.
 *
 * @throws KernError DEFINITION_INVALID with the name of the sleep, what was given and what is allowed
 */
export function sleep<const Name extends string>(name: Name, duration: Duration, options?: SleepOptions): Sleep<Name>
export function sleep(name: unknown, duration: unknown, options: unknown = {}): SleepNode {
  const place = `sleep ${shown(name)}`
  const { description } = readOptions(place, options, SLEEP_KEYS)
  const durationMs = readDuration(`the duration of ${place}`, duration, MAX_DURABLE_MS)
  if (durationMs === null) throw refused(`the duration of ${place}`, duration, "allowed is a time such as '10m'")
  return sealNode({
    kind: 'sleep',
    name: readNodeName('the name of a sleep', name),
    description: readDescription(`description of ${place}`, description),
    durationMs,
  })
}
