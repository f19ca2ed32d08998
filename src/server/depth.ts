import {
  getNamedType,
  getNullableType,
  getOperationAST,
  GraphQLError,
  isCompositeType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
} from 'graphql'
import type {
  DocumentNode,
  FieldNode,
  FragmentDefinitionNode,
  GraphQLNamedType,
  GraphQLSchema,
  OperationDefinitionNode,
  SelectionSetNode,
  ValidationRule,
  ValueNode,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from '../../schema/paging.ts'
import { KernError } from '../errors.ts'

/** How many levels of fields an operation may select. Those inside `__schema` and `__type` are not counted. */
export const MAX_LEVELS = 15
/** How many fields an operation may have at its root, each alias as one. */
export const MAX_ROOT_FIELDS = 500
/** How many nodes the connections of an operation may ask for, pages inside pages multiplied. */
export const MAX_NODES = 10_000

/**
 * Refuses an operation that would unfold to more than a server can hold, over every transport and before anything of
 * it is executed. The time that this takes grows with the length of the document and nothing else.
 *
 * Levels and root fields are a rule of validation. Nodes depend on the variables, and what was found valid is kept for
 * the document whatever its variables are: so they are counted when the operation is about to be executed.
 */
export function useDepthLimit(): Plugin {
  return {
    onValidate: ({ addValidationRule }) => addValidationRule(ShapeLimitRule),
    onExecute: ({ args, setResultAndStopExecution }) => {
      const error = nodesError(args)
      if (error) setResultAndStopExecution({ errors: [error] })
    },
  }
}

// The cache of validation knows rules by their names.
const ShapeLimitRule: ValidationRule = function ShapeLimitRule(context) {
  const measured = measureIn({ schema: context.getSchema(), document: context.getDocument(), variables: {} })
  return {
    OperationDefinition: (operation) => {
      const { levels, fields } = measured(operation)
      if (levels > MAX_LEVELS) {
        const found = `The operation selects fields ${levels} levels deep: allowed are ${MAX_LEVELS}`
        context.reportError(exceeded(found, MAX_LEVELS, operation))
      }
      if (fields > MAX_ROOT_FIELDS) {
        const found = `The operation has ${fields} fields at its root, aliases included: allowed are ${MAX_ROOT_FIELDS}`
        context.reportError(exceeded(found, MAX_ROOT_FIELDS, operation))
      }
    },
  }
}

interface Executed {
  readonly schema: GraphQLSchema
  readonly document: DocumentNode
  readonly operationName?: string | null | undefined
  readonly variableValues?: Readonly<Record<string, unknown>> | null | undefined
}

/** Why the operation must not be executed; null if it may. Subscriptions have to be asked about by who opens them. */
export function nodesError({ schema, document, operationName, variableValues }: Executed): GraphQLError | null {
  const operation = getOperationAST(document, operationName)
  if (!operation) return null
  const { nodes } = measureIn({ schema, document, variables: variableValues ?? {} })(operation)
  if (nodes <= MAX_NODES) return null
  const found = `The operation asks for up to ${nodes} nodes, pages inside pages multiplied`
  return exceeded(`${found}: allowed are ${MAX_NODES}. Ask for smaller pages by first or last`, MAX_NODES, operation)
}

function exceeded(message: string, limit: number, operation: OperationDefinitionNode): GraphQLError {
  const originalError = new KernError('LIMIT_EXCEEDED', message, { limit })
  return new GraphQLError(message, { nodes: operation, originalError })
}

/** What a selection set unfolds to, for one object that it is applied to. */
interface Measure {
  readonly levels: number
  /** Fields of its own level, each as often as it is selected. */
  readonly fields: number
  readonly nodes: number
  /** The lists anywhere in it that have no page size, by type and field. */
  readonly lists: ReadonlySet<string>
}

const NOTHING: Measure = { levels: 0, fields: 0, nodes: 0, lists: new Set() }

interface Measured {
  readonly schema: GraphQLSchema
  readonly document: DocumentNode
  readonly variables: Readonly<Record<string, unknown>>
}

/** Each fragment is measured once, however often it is spread: else a few that spread each other would take for ever. */
function measureIn({ schema, document, variables }: Measured): (operation: OperationDefinitionNode) => Measure {
  const definitions = new Map<string, FragmentDefinitionNode>()
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) definitions.set(definition.name.value, definition)
  return (operation) => {
    const given = { ...defaultsOf(operation), ...definedOf(variables) }
    const fragments = new Map<string, Measure>()
    const measureFragment = (name: string): Measure => {
      const known = fragments.get(name)
      const definition = definitions.get(name)
      if (known || !definition) return known ?? NOTHING
      // One that spreads itself finds this; the specification's own rule refuses it.
      fragments.set(name, NOTHING)
      const measure = measureSet(definition.selectionSet, schema.getType(definition.typeCondition.name.value))
      fragments.set(name, measure)
      return measure
    }
    const measureSet = (set: SelectionSetNode, type: GraphQLNamedType | undefined): Measure => {
      const parts = set.selections.map((selection): Measure => {
        if (selection.kind === Kind.FRAGMENT_SPREAD) return measureFragment(selection.name.value)
        if (selection.kind === Kind.FIELD) return measureField(selection, type)
        const condition = selection.typeCondition?.name.value
        return measureSet(selection.selectionSet, condition === undefined ? type : schema.getType(condition))
      })
      return parts.length === 1 ? (parts[0] ?? NOTHING) : together(parts)
    }
    const measureField = (node: FieldNode, parent: GraphQLNamedType | undefined): Measure => {
      const name = node.name.value
      if (!node.selectionSet || name === '__schema' || name === '__type') return { ...NOTHING, levels: 1, fields: 1 }
      const field = isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined
      const type = field && getNamedType(field.type)
      const inner = measureSet(node.selectionSet, type)
      const around = { levels: inner.levels + 1, fields: 1 }
      if (isConnection(type))
        return { ...around, nodes: product(pageSizeOf(node, given), inner.nodes), lists: inner.lists }
      const plainList = field && isListType(getNullableType(field.type)) && isCompositeType(type)
      if (!plainList || isConnection(parent)) return { ...around, nodes: inner.nodes, lists: inner.lists }
      // Nobody knows yet how long it will be. It is some objects more, unless it multiplies pages or itself.
      const list = `${parent?.name}.${name}`
      const length = inner.lists.has(list) ? MAX_PAGE_SIZE : inner.nodes > 0 ? DEFAULT_PAGE_SIZE : null
      const nodes = length === null ? 0 : product(length, inner.nodes)
      return { ...around, nodes, lists: new Set([...inner.lists, list]) }
    }
    return measureSet(operation.selectionSet, schema.getRootType(operation.operation) ?? undefined)
  }
}

function together(parts: readonly Measure[]): Measure {
  let { levels, fields, nodes } = NOTHING
  const lists = new Set<string>()
  for (const part of parts) {
    levels = Math.max(levels, part.levels)
    fields = bounded(fields + part.fields)
    nodes = bounded(nodes + part.nodes)
    for (const list of part.lists) lists.add(list)
  }
  return { levels, fields, nodes, lists }
}

/** A page that holds pages is counted as what these hold. */
function product(size: number, inner: number): number {
  return bounded(size * Math.max(1, inner))
}

/** Fragments that spread each other reach infinity, and zero times infinity would be no number. */
function bounded(count: number): number {
  return Math.min(count, Number.MAX_SAFE_INTEGER)
}

function isConnection(type: GraphQLNamedType | undefined): boolean {
  return isObjectType(type) && 'pageInfo' in type.getFields()
}

/** Sizes out of range are refused by the connection itself. */
function pageSizeOf({ arguments: args = [] }: FieldNode, variables: Readonly<Record<string, unknown>>): number {
  const sizes = args
    .filter(({ name: { value } }) => value === 'first' || value === 'last')
    .map(({ value }) => (value.kind === Kind.VARIABLE ? variables[value.name.value] : integerOf(value)))
    .filter((size) => typeof size === 'number')
  return sizes.length === 0 ? DEFAULT_PAGE_SIZE : Math.min(Math.max(0, ...sizes), MAX_PAGE_SIZE)
}

function integerOf(value: ValueNode): number | null {
  return value.kind === Kind.INT ? Number(value.value) : null
}

function defaultsOf({ variableDefinitions = [] }: OperationDefinitionNode): Record<string, unknown> {
  return Object.fromEntries(
    variableDefinitions.flatMap(({ variable, defaultValue }) =>
      defaultValue ? [[variable.name.value, integerOf(defaultValue)]] : [],
    ),
  )
}

/** A variable that is given as undefined has its default. */
function definedOf(variables: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== undefined))
}
