import type { FormattedExecutionResult } from 'graphql'
import type { Sink, SubscribePayload } from 'graphql-ws'

/** What of an event tells its place. */
interface Placed {
  readonly cursor?: string
  readonly seq?: number
  readonly type?: string
  readonly run?: { readonly id?: string }
}

/**
 * Has a subscription ask for what comes after the last event that it has given, each time that it is sent. One without
 * a variable `$after` stays as it is.
 *
 * @param request what the client of graphql-ws sends, again on each new connection
 * @param sink what is given each event once. Whatever ends it before the server does is an `Error`
 */
export function afterLastEvent<Data, Extensions>(
  request: SubscribePayload,
  sink: Sink<FormattedExecutionResult<Data, Extensions>>,
): [SubscribePayload, typeof sink] {
  const variables = { ...request.variables }
  const resumes = 'after' in variables
  let { after } = variables
  if (resumes) Object.defineProperty(variables, 'after', { enumerable: true, get: () => after })
  const isRepeat = createRepeats()
  return [
    { ...request, variables },
    {
      next: (result) => {
        const event: Placed = Object.values(result.data ?? {})[0] ?? {}
        after = event.cursor ?? after
        if (!resumes || !isRepeat(event)) sink.next(result)
      },
      error: (error) => sink.error(error instanceof Error ? error : new Error(reasonOf(error))),
      complete: () => sink.complete(),
    },
  ]
}

/** Tells whether an event was there before. */
function createRepeats() {
  const newest = new Map<string, number>()
  return ({ type, seq, run }: Placed): boolean => {
    // Partial output has no place of its own: it carries that of the event before it.
    if (seq === undefined || type === 'STEP_PROGRESS') return false
    const id = run?.id ?? ''
    if (seq <= (newest.get(id) ?? 0)) return true
    newest.set(id, seq)
    return false
  }
}

/** Why a subscription was refused, which a list of errors tells, or its connection, which an event tells. */
function reasonOf(error: unknown): string {
  if (Array.isArray(error)) return error.map(({ message }) => message).join('; ')
  const { code, reason } = Object(error)
  return `The connection was closed for good: ${code} ${reason}`
}
