import SchemaBuilder from '@pothos/core'
import RelayPlugin from '@pothos/plugin-relay'
import { KernError } from '../src/errors.ts'
import type { KernContext } from './context.ts'
import { decodeGlobalId, encodeGlobalId, nodeTypeOf } from './globalId.ts'
import type { Inputs, Objects, Refusal, Scalars } from './models.ts'

/** Fields name types by their names here, so that no file of the schema needs another one's. */
export interface SchemaTypes {
  Context: KernContext
  DefaultFieldNullability: false
  DefaultEdgesNullability: { list: false; items: false }
  DefaultNodeNullability: false
  Scalars: Scalars
  Interfaces: { Error: Refusal }
  Objects: Objects
  Inputs: Inputs
}

/** To which every file of the schema adds its part. */
export type Builder = ReturnType<typeof createBuilder>

/** How many ids `nodes` takes. */
const MAX_NODES = 100

/** Makes a schema without types, with the conventions that all types share: nothing is null unless it says so. */
export function createBuilder() {
  return new SchemaBuilder<SchemaTypes>({
    plugins: [RelayPlugin],
    defaultFieldNullability: false,
    relay: {
      ...connectionOptions,
      ...pageInfoOptions,
      encodeGlobalID: (typename, key) => encodeGlobalId(typename, String(key)),
      decodeGlobalID: decodeGlobalId,
      // A brand is set on the record itself, and definitions are frozen.
      brandLoadedObjects: false,
      nodeTypeOptions: {
        description: 'Anything with a global id.',
        resolveType: nodeTypeOf,
      },
      idFieldOptions: {
        description: 'The global id: opaque, unique among all types, and what `node` finds the object by.',
      },
      nodeQueryOptions: {
        description: 'The object with this global id; null if there is none.',
        args: { id: { description: 'The `id` of an object. Anything else is answered with INPUT_INVALID.' } },
      },
      nodesQueryOptions: {
        description: 'The objects with these global ids, in their order, with null where there is none.',
        args: { ids: { description: `At most ${MAX_NODES} of the \`id\` of objects.` } },
        resolve: (_root, { ids }, _context, _info, resolveNodes) => {
          if (ids.length > MAX_NODES) {
            throw new KernError('INPUT_INVALID', `ids has ${ids.length} entries: allowed are at most ${MAX_NODES}`)
          }
          return resolveNodes(ids)
        },
      },
    },
  })
}

const connectionOptions = {
  cursorType: 'String',
  clientMutationId: 'omit',
  edgesFieldOptions: {
    description: 'The page, each with its cursor.',
    nullable: { list: false, items: false },
  },
  nodesOnConnection: { description: 'The page, without cursors.' },
  nodeFieldOptions: { description: 'What stands at this place of the list.', nullable: false },
  cursorFieldOptions: {
    description: 'The place in the list; opaque. Give it as `after` or `before` to the same list.',
  },
  firstArgOptions: { description: 'How many from the start, 1 to 100. Null: 20, unless `last` is given.' },
  lastArgOptions: { description: 'How many from the end, 1 to 100. Null: counted from the start. Not with `first`.' },
  afterArgOptions: { description: 'A cursor: only what comes after it. Null: from the start of the list.' },
  beforeArgOptions: { description: 'A cursor: only what comes before it. Null: to the end of the list.' },
} as const

const pageInfoOptions = {
  pageInfoFieldOptions: { description: 'Where the page stands in its list.' },
  pageInfoTypeOptions: { description: 'Where a page stands in its list.' },
  hasNextPageFieldOptions: { description: 'Whether the list goes on after the page.' },
  hasPreviousPageFieldOptions: { description: 'Whether the list goes on before the page.' },
  startCursorFieldOptions: { description: 'The cursor of the first edge; null if the page is empty.' },
  endCursorFieldOptions: { description: 'The cursor of the last edge; null if the page is empty.' },
} as const
