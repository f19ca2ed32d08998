import {
  type GraphQLArgument,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLObjectType,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
} from 'graphql'
import { createSchema } from '../../schema/index.ts'

/** What there is on the server that the operations below can name. */
export interface Known {
  readonly sessionId: string
  readonly runId: string
  readonly nodeId: string
}

/** A place of the schema that takes text, and an operation that puts a text there. */
export interface TextPlace {
  readonly title: string
  operation(text: string, known: Known): [query: string, variables: Record<string, unknown>]
}

const schema = createSchema()

/** How to get to an object of a type whose fields take text. A type that is missing here fails the tests. */
const WAYS: Readonly<Record<string, (known: Known, field: string) => string>> = {
  Query: (_known, field) => `{ ${field} }`,
  Mutation: (_known, field) => `{ ${field} }`,
  Subscription: (_known, field) => `{ ${field} }`,
  Workflow: (_known, field) => `{ workflow(workflowId: "echo") { ${field} } }`,
  Session: ({ sessionId }, field) => `{ session(sessionId: "${sessionId}") { ${field} } }`,
  Run: ({ runId }, field) => `{ run(runId: "${runId}") { ${field} } }`,
}

/** Every argument, and every field of an input, at any depth, that takes text: found by walking the schema. */
export function textPlaces(): TextPlace[] {
  return Object.values(schema.getTypeMap())
    .filter((type) => isObjectType(type) && !type.name.startsWith('__'))
    .flatMap((type) => placesOf(type as GraphQLObjectType)) // the filter does not narrow a union of kinds
}

function placesOf(type: GraphQLObjectType): TextPlace[] {
  return Object.values(type.getFields()).flatMap((field) =>
    field.args.flatMap((argument) =>
      pathsIn(argument.type, []).map((path) => ({
        title: `${type.name}.${field.name}(${[argument.name, ...path].join('.')})`,
        operation: (text: string, known: Known) => operation({ type, name: field.name, argument, path }, text, known),
      })),
    ),
  )
}

type Path = readonly string[]

/** The ways from a type to the text inside it; `*` stands for an item of a list. */
function pathsIn(type: GraphQLInputType, seen: Path): Path[] {
  if (isNonNullType(type)) return pathsIn(type.ofType, seen)
  if (isListType(type)) return pathsIn(type.ofType, seen).map((path) => ['*', ...path])
  if (isInputObjectType(type)) {
    if (seen.includes(type.name)) return []
    return Object.values(type.getFields()).flatMap((field) =>
      pathsIn(field.type, [...seen, type.name]).map((path) => [field.name, ...path]),
    )
  }
  return type.name === 'String' || type.name === 'ID' ? [[]] : []
}

interface Place {
  readonly type: GraphQLObjectType
  readonly name: string
  readonly argument: GraphQLArgument
  readonly path: Path
}

function operation({ type, name, argument, path }: Place, text: string, known: Known) {
  const field = type.getFields()[name]
  const way = WAYS[type.name]
  if (!field || !way) throw new Error(`say in WAYS how to get to a ${type.name}`)
  const variables: Record<string, unknown> = {}
  const given = field.args.filter((arg) => arg === argument || isNonNullType(arg.type))
  for (const arg of given) variables[arg.name] = valueFor(arg, arg === argument ? { path, text } : null, known)
  const declared = given.map((arg) => `$${arg.name}: ${String(arg.type)}`).join(', ')
  const passed = given.map((arg) => `${arg.name}: $${arg.name}`).join(', ')
  const result = getNamedType(field.type)
  const selection = isLeafType(result)
    ? ''
    : isUnionType(result)
      ? '{ __typename ... on Error { code } }'
      : '{ __typename }'
  const kind = type.name === 'Mutation' || type.name === 'Subscription' ? type.name.toLowerCase() : 'query'
  const query = `${kind} (${declared}) ${way(known, `${name}(${passed}) ${selection}`)}`
  return [query, variables] as [string, Record<string, unknown>] // a tuple, as both are always there
}

interface Target {
  readonly path: Path
  readonly text: string
}

/** The least that an argument needs, with the text at its place. */
function valueFor({ name, type }: GraphQLArgument | GraphQLInputField, target: Target | null, known: Known): unknown {
  if (isNonNullType(type)) return valueFor({ name, type: type.ofType } as GraphQLInputField, target, known) // as it was
  const inside = target && { path: target.path.slice(1), text: target.text }
  if (isListType(type)) return [valueFor({ name, type: type.ofType } as GraphQLInputField, inside, known)] // likewise
  if (isInputObjectType(type)) {
    const fields = Object.values(type.getFields()).filter(
      (field) => field.name === target?.path[0] || (isNonNullType(field.type) && field.defaultValue === undefined),
    )
    return Object.fromEntries(
      fields.map((field) => [field.name, valueFor(field, field.name === target?.path[0] ? inside : null, known)]),
    )
  }
  if (target) return target.text
  if (isEnumType(type)) return type.getValues()[0]?.name
  const values: Record<string, unknown> = {
    ...known,
    workflowId: 'echo',
    id: known.nodeId,
    ids: known.nodeId,
    path: 'say',
  }
  if (!(name in values)) throw new Error(`say what ${name} can be`)
  return values[name]
}
