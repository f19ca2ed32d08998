import { getOperationAST, Kind, visit, type DocumentNode, type FieldNode, type OperationDefinitionNode } from 'graphql'
import type { Viewer } from '../../viewer.ts'
import type { Asked } from './render.ts'

/** The argument that says where a subscription begins. */
const CURSOR = 'after'

/**
 * What two subscriptions have in common that get the same frames: document, operation, variables and viewer. Where they
 * begin makes no difference: neither the cursor itself, nor its variable if that has no other use.
 */
export function groupKey({ document, query, operationName, variableValues }: Asked, viewer: Viewer): string {
  const { text, variables } = shapeOf(document, query, operationName)
  const given = variables.flatMap((name) => {
    const value = variableValues?.[name]
    return value === undefined ? [] : [[name, value]]
  })
  return canonical([text, operationName ?? null, given, viewer.userId, viewer.scopes.toSorted()])
}

/** What a document contributes to the key. */
interface Shape {
  /** The text without a cursor that is written in it. */
  readonly text: string
  /** The names of the variables that count. */
  readonly variables: readonly string[]
}

function shapeOf(document: DocumentNode, query: string, operationName: string | null | undefined): Shape {
  const operation = getOperationAST(document, operationName)
  const declared = operation?.variableDefinitions?.map(({ variable }) => variable.name.value) ?? []
  const cursor = operation && rootField(operation)?.arguments?.find(({ name }) => name.value === CURSOR)?.value
  if (!cursor) return { text: query, variables: declared }
  if (cursor.kind === Kind.VARIABLE) {
    const name = cursor.name.value
    const variables = usesOf(document, name) === 1 ? declared.filter((other) => other !== name) : declared
    return { text: query, variables }
  }
  const text = cursor.loc ? query.slice(0, cursor.loc.start) + query.slice(cursor.loc.end) : query
  return { text, variables: declared }
}

/** The root field where it stands in the operation itself; in a fragment its cursor makes a difference. */
function rootField({ selectionSet: { selections } }: OperationDefinitionNode): FieldNode | undefined {
  const [field, ...others] = selections
  return others.length === 0 && field?.kind === Kind.FIELD ? field : undefined
}

/** How often a variable is used, besides its definition. */
function usesOf(document: DocumentNode, name: string): number {
  let uses = 0
  visit(document, {
    Variable: (node, _key, parent) => {
      const isDefinition = parent && 'kind' in parent && parent.kind === Kind.VARIABLE_DEFINITION
      if (!isDefinition && node.name.value === name) uses += 1
    },
  })
  return uses
}

/** JSON text that is the same for values that are equal, in whatever order their keys stand. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
