import { PothosValidationError } from '@pothos/core'
import { isKernError, type KernError } from '../src/errors.ts'
import type { Builder } from './builder.ts'
import { type PublicCode, REFUSALS, type Objects, type Refusal, type RefusalName } from './models.ts'

/** A type that a mutation answers with when it did what was asked. */
type PayloadName = { [Name in keyof Objects]: Objects[Name] extends { typename: Name } ? Name : never }[keyof Objects]

/** The answer of a mutation: what it did, or one of the refusals that are expected of it. */
export interface ResultUnion<Payload extends PayloadName> {
  readonly name: string
  readonly payload: Payload
  readonly refusals: readonly RefusalName[]
}

/**
 * Runs a mutation. A KernError whose code one of the union's refusals stands for becomes that member; everything else
 * is thrown.
 */
export async function answer<Payload extends PayloadName>(
  union: ResultUnion<Payload>,
  run: () => Promise<Objects[Payload]>,
): Promise<Objects[Payload] | Refusal> {
  try {
    return await run()
  } catch (error) {
    const refusal = isKernError(error) ? refusalOf(union, error) : null
    if (!refusal) throw error
    return refusal
  }
}

function refusalOf({ refusals }: ResultUnion<PayloadName>, error: KernError): Refusal | null {
  const typename = refusals.find((name) => REFUSALS[name] === error.code)
  if (typename !== 'LimitExceededError') return typename ? { typename, error } : null
  const { limit } = error.details
  // Its limit is not null: without one the error is better thrown than filled up with a made-up number.
  return limit === undefined ? null : { typename, error, limit }
}

/** What a client is told of an error. */
export interface ClientError {
  readonly message: string
  readonly extensions: Readonly<Record<string, unknown>>
}

/**
 * What a client is told of an error that a resolver threw, with the code in `extensions.code`.
 *
 * @returns null for a fault of the server, which is not for clients' eyes
 */
export function forClients(error: unknown): ClientError | null {
  if (error instanceof PothosValidationError) {
    return { message: error.message, extensions: { code: 'INPUT_INVALID' } }
  }
  if (!isKernError(error) || error.code === 'INTERNAL') return null
  const { issues, limit, retryAfterMs } = error.details
  const extensions = {
    code: error.code,
    ...(issues && { issues }),
    ...(limit !== undefined && { limit }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
  return { message: error.message, extensions }
}

/** Adds a result union. Give its name as the type of the mutation, and the union to {@link answer}. */
export function resultUnion<Payload extends PayloadName>(builder: Builder, union: ResultUnion<Payload>) {
  const { name, payload, refusals } = union
  const ref = builder.unionType(name, {
    description: `What became of the mutation: ${payload} if it was done, else why not.`,
    types: [payload, ...refusals],
    resolveType: ({ typename }) => typename,
  })
  return { ...union, ref }
}

/** Adds `Error` and the types that implement it. */
export function addErrors(builder: Builder): void {
  builder.interfaceType('Error', {
    description: 'Why something was refused.',
    resolveType: ({ typename }) => typename,
    fields: (t) => ({
      message: t.string({
        description: 'For people: what was wrong, the value received, and what is allowed.',
        resolve: ({ error }) => error.message,
      }),
      code: t.field({
        type: 'ErrorCode',
        description: 'For programs: the kind of failure.',
        resolve: ({ typename }): PublicCode => REFUSALS[typename],
      }),
    }),
  })
  builder.objectType('NotFoundError', {
    description: 'Something that was named does not exist, or the viewer may not know that it does.',
    interfaces: ['Error'],
  })
  builder.objectType('ForbiddenError', { description: 'The viewer may not do this.', interfaces: ['Error'] })
  addInputInvalid(builder)
  addConflict(builder)
  addLimitExceeded(builder)
}

function addInputInvalid(builder: Builder): void {
  builder.objectType('InputIssue', {
    description: 'One fault in the input.',
    fields: (t) => ({
      path: t.exposeStringList('path', {
        description: 'Where it is: keys from the outside in. Empty: the whole input.',
      }),
      message: t.exposeString('message', { description: 'What is wrong there.' }),
    }),
  })
  builder.objectType('InputInvalidError', {
    description: 'A value in the input is malformed, out of range, or does not fit the schema of the workflow.',
    interfaces: ['Error'],
    fields: (t) => ({
      issues: t.field({
        type: ['InputIssue'],
        description: 'Each fault by itself; empty where `message` says it all.',
        resolve: ({ error }) => error.details.issues ?? [],
      }),
    }),
  })
}

function addConflict(builder: Builder): void {
  builder.objectType('ConflictError', {
    description: 'The mutation contradicts the present state, or an earlier one with the same idempotency key.',
    interfaces: ['Error'],
    fields: (t) => ({
      run: t.field({
        type: 'Run',
        nullable: true,
        description: 'The run that stands in the way; null if none does.',
        resolve: ({ error: { details } }, _args, { loaders }) => (details.runId ? loaders.run(details.runId) : null),
      }),
      session: t.field({
        type: 'Session',
        nullable: true,
        description: 'The session that stands in the way; null if none does.',
        resolve: ({ error: { details } }, _args, { loaders }) =>
          details.sessionId ? loaders.session(details.sessionId) : null,
      }),
    }),
  })
}

function addLimitExceeded(builder: Builder): void {
  builder.objectType('LimitExceededError', {
    description: 'A stated limit was reached.',
    interfaces: ['Error'],
    fields: (t) => ({
      limit: t.int({ description: 'The limit.', resolve: ({ limit }) => limit }),
      retryAfterMs: t.int({
        nullable: true,
        description: 'When to try again, in milliseconds; null if waiting does not help.',
        resolve: ({ error }) => error.details.retryAfterMs ?? null,
      }),
    }),
  })
}
