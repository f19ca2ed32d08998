import { randomUUID } from 'node:crypto'
import { getOperationAST, GraphQLError, parse } from 'graphql'
import type { ExecutionResult } from 'graphql'
import { forClients } from '../../schema/errors.ts'
import type { Log } from '../log.ts'

/** What a client asked for, as far as it could be read. */
export interface Operation {
  readonly query?: unknown
  readonly operationName?: unknown
}

/**
 * The last gate before a client, the same for every transport. Behind it every error has a code in its extensions;
 * expected failures keep their message, faults of the server are logged and replaced by the id of their log line.
 */
export interface Mask {
  /** `operation` is left out where the request could not even be read as one. */
  error(error: unknown, operation: Operation | undefined): GraphQLError
  result(result: ExecutionResult, operation: Operation | undefined): ExecutionResult
}

export function createMask(log: Log): Mask {
  // An error may pass the gate more than once on its way out; it must not be logged again under another id.
  const passed = new WeakSet<GraphQLError>()
  const mask = (error: unknown, operation: Operation | undefined): GraphQLError => {
    if (error instanceof GraphQLError && passed.has(error)) return error
    const answer = expected(error, operation) ?? fault(log, error, operation)
    passed.add(answer)
    return answer
  }
  return {
    error: mask,
    result: (result, operation) =>
      result.errors === undefined
        ? result
        : { ...result, errors: result.errors.map((error) => mask(error, operation)) },
  }
}

/** The error as a client may see it; null if it is a fault of the server. */
function expected(error: unknown, operation: Operation | undefined): GraphQLError | null {
  if (error instanceof GraphQLError && error.path === undefined && error.message.startsWith('Variable "$')) {
    return placed(error, error.message, { code: 'BAD_USER_INPUT', http: { status: 400, spec: true } })
  }
  const root = rootOf(error)
  if (isTooDeep(error, root)) {
    const message = 'The document or its variables are nested too deep: allowed are some hundred levels'
    return placed(error, message, { code: 'GRAPHQL_VALIDATION_FAILED', http: { status: 400, spec: true } })
  }
  const known = forClients(root)
  if (known) return placed(error, known.message, withStatus(error, known.extensions))
  if (error instanceof GraphQLError && root instanceof GraphQLError) {
    const { originalError: _, unexpected, ...extensions } = error.extensions
    const code = extensions['code'] ?? codeOf(error)
    if (unexpected !== true && code !== null)
      return placed(error, error.message, { ...extensions, code, ...statusOf(String(code), extensions['http']) })
  }
  if (operation !== undefined) return null
  const message = 'The request is malformed: query and operationName are text, variables and extensions JSON objects'
  return new GraphQLError(message, { extensions: { code: 'BAD_REQUEST', http: { status: 400 } } })
}

/** Parsing and validating are recursive. With a path it would be a resolver that knows no end, which is a fault. */
function isTooDeep(error: unknown, root: unknown): boolean {
  const inResolver = error instanceof GraphQLError && error.path !== undefined
  return !inResolver && root instanceof RangeError && root.message === 'Maximum call stack size exceeded'
}

/** What was thrown, without the errors of the GraphQL library around it. */
function rootOf(error: unknown): unknown {
  let root = error
  while (root instanceof GraphQLError && root.originalError) root = root.originalError
  return root
}

/** The code of an error that the GraphQL library made and gave none; null if it tells of a fault of a resolver. */
function codeOf(error: GraphQLError): string | null {
  if (error.message.startsWith('Syntax Error')) return 'GRAPHQL_PARSE_FAILED'
  if (error.message.startsWith('Argument "')) return 'BAD_USER_INPUT'
  return null
}

/**
 * Yoga's `spec` is for errors of GraphQL, which clients that accept `application/json` get with status 200; what is wrong
 * with a request itself has its status always.
 */
function statusOf(code: string, http: unknown): object {
  if (typeof http !== 'object') return {}
  return { http: { ...http, spec: code !== 'BAD_REQUEST' && code !== 'REQUEST_ENTITY_TOO_LARGE' } }
}

/** Without data in the answer the status has to say what happened; beside a path there may be data. */
function withStatus(error: unknown, extensions: Record<string, unknown>): Record<string, unknown> {
  if (error instanceof GraphQLError && error.path !== undefined) return extensions
  const status = extensions['code'] === 'UNAVAILABLE' ? 503 : 400
  return { http: { status, spec: true }, ...extensions }
}

function placed(error: unknown, message: string, extensions: Record<string, unknown>): GraphQLError {
  if (!(error instanceof GraphQLError)) return new GraphQLError(message, { extensions })
  const { nodes = null, source, positions, path } = error
  return new GraphQLError(message, { nodes, source, positions, path, extensions })
}

function fault(log: Log, error: unknown, operation: Operation | undefined): GraphQLError {
  const errorId = randomUUID()
  const path = error instanceof GraphQLError ? error.path?.join('.') : undefined
  log.error({ errorId, operation: operationNameOf(operation), path, err: rootOf(error) }, 'Unexpected error')
  const hidden = { code: 'INTERNAL', errorId }
  const extensions = path === undefined ? { ...hidden, http: { status: 500, spec: true } } : hidden
  return placed(error, `Unexpected error. Its id in the log is ${errorId}`, extensions)
}

/** Read only when there is a fault to report, so that it costs nothing on the way of good requests. */
function operationNameOf(operation: Operation | undefined): string | undefined {
  const name = typeof operation?.operationName === 'string' ? operation.operationName : undefined
  if (typeof operation?.query !== 'string') return name
  try {
    return getOperationAST(parse(operation.query), name)?.name?.value ?? name
  } catch {
    return name
  }
}
