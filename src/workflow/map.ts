import { shown } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { Chain, EndOf, FirstInput, IsOpen } from './chain.ts'
import type { ReadContext } from './context.ts'
import type { MapNode, WorkflowNode } from './definition.ts'
import type { Flow, Holds, MaybePromise, PassesIf, TypedNode } from './infer.ts'
import { readSteps, sealNode } from './nodes.ts'
import { MAX_CONCURRENCY, readCount, readDescription, readFunction, readNodeName, readOptions } from './validate.ts'

/** What a map does with each item. */
export interface MapOptions<Input, State, Item, Steps extends readonly WorkflowNode[]> {
  readonly description?: string | undefined
  /** Gives the items. Their number is recorded before any is worked on. @default the input, which must be an array */
  readonly items?: ((context: ReadContext<Input, State>) => MaybePromise<readonly Item[]>) | undefined
  /** Run in order for each item, the first one with the item as its input. */
  readonly steps: Steps & Chain<ItemOf<Item, Steps>, Steps, 'the items of the map'>
  /** How many items are under way at the same time, 1 to 1,000. @default 10 */
  readonly concurrency?: number | undefined
}

const MAP_KEYS = ['description', 'items', 'steps', 'concurrency'] as const satisfies readonly (keyof MapOptions<
  unknown,
  unknown,
  unknown,
  []
>)[]

const DEFAULT_CONCURRENCY = 10

/** A map as {@link map} makes it. */
export type MapOf<Name extends string, Input, Item, Steps extends readonly WorkflowNode[]> = TypedNode<
  MapNode,
  Name,
  [Item] extends [InputItems] ? readonly FirstInput<Steps>[] : Input,
  EndOf<Steps, ItemOf<Item, Steps>>[]
> &
  Holds<Steps> &
  PassesIf<[Item] extends [InputItems] ? IsOpen<Steps> : false, MapFlow<Steps>>

/** Stands for the type of the items where the input itself is the list of them. */
export interface InputItems {
  readonly '~items': 'input'
}

/** What the first step of a map gets. */
type ItemOf<Item, Steps extends readonly WorkflowNode[]> = [Item] extends [InputItems] ? FirstInput<Steps> : Item

interface MapFlow<Steps extends readonly WorkflowNode[]> extends Flow {
  readonly out: EndOf<Steps, this['in'] extends readonly (infer Item)[] ? Item : unknown>[]
}

/**
 * Runs the same steps for each item of an array. It yields the array of what they do, in the order of the items. In the
 * paths of a run its steps carry the index of the item, from 0: `each[0]/fetch`.
 *
 * @throws KernError DEFINITION_INVALID with the name of the map, the option, what was given and what is allowed
 */
export function map<
  const Name extends string,
  const Steps extends readonly WorkflowNode[],
  Input = unknown,
  State = JsonObject,
  Item = InputItems,
>(name: Name, options: MapOptions<Input, State, Item, Steps>): MapOf<Name, Input, Item, Steps>
export function map(name: unknown, given: unknown): MapNode {
  const place = `map ${shown(name)}`
  const options = readOptions(place, given, MAP_KEYS)
  return sealNode({
    kind: 'map',
    name: readNodeName('the name of a map', name),
    description: readDescription(`description of ${place}`, options.description),
    items:
      options.items === undefined
        ? null
        : readFunction<NonNullable<MapNode['items']>>(`items of ${place}`, options.items),
    steps: readSteps(place, options.steps),
    concurrency: readCount(`concurrency of ${place}`, options.concurrency, MAX_CONCURRENCY) ?? DEFAULT_CONCURRENCY,
  })
}
