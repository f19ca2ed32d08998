import { type Answer, asClientError, errorIn, KernClientError, unavailable } from './errors.ts'

/** A document with its variables. */
export interface Operation {
  readonly query: string
  readonly variables?: Readonly<Record<string, unknown>>
}

/** A value, or how it is come by: asked for anew each time, so that a token may change. */
export type Fresh<Value> = Value | (() => Value | Promise<Value>)

/** @returns the value of now */
export async function freshly<Value extends object>(value: Fresh<Value> | undefined): Promise<Value | undefined> {
  return typeof value === 'function' ? await value() : value
}

export interface HttpOptions {
  readonly url: string
  readonly fetch: typeof globalThis.fetch
  readonly headers: Fresh<Readonly<Record<string, string>>> | undefined
}

export interface PostOptions {
  /** The media types of the answer. */
  readonly accept: string
  readonly signal: AbortSignal
}

/**
 * Sends an operation.
 *
 * @returns an answer that is no refusal
 * @throws KernClientError UNAVAILABLE if there is none, also where the signal aborts; else as the answer says
 */
export type Post = (operation: Operation, options: PostOptions) => Promise<Response>

export function createPost({ url, fetch, headers }: HttpOptions): Post {
  return async (operation, { accept, signal }) => {
    const own = { 'content-type': 'application/json', accept }
    const body = JSON.stringify(operation)
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { ...(await freshly(headers)), ...own },
        body,
        signal,
      })
      if (response.ok) return response
      throw await refusalOf(response)
    } catch (error) {
      throw asClientError(error)
    }
  }
}

/** Statuses of a server or a proxy that may do better in a moment. */
const PASSING = [408, 425, 429, 502, 503, 504]

async function refusalOf(response: Response): Promise<KernClientError> {
  const { status } = response
  // A proxy answers in its own words.
  const { errors } = await readAnswer(response).catch((): Answer => ({}))
  const error = errors && errorIn(errors)
  if (PASSING.includes(status)) return unavailable(error?.message ?? `The server answered with ${status}`, error)
  const code = status === 401 || status === 403 ? 'FORBIDDEN' : 'BAD_RESPONSE'
  return error ?? new KernClientError(code, `The server answered with ${status}: allowed is the URL of a Kern server`)
}

/** @throws KernClientError UNAVAILABLE if it is cut off, BAD_RESPONSE if it is none of GraphQL */
export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text().catch((error: unknown) => {
    throw asClientError(error)
  })
  return parseAnswer(text)
}

/** @throws KernClientError BAD_RESPONSE if it is none of GraphQL */
export function parseAnswer(text: string): Answer {
  try {
    // A server that answers with JSON and not in GraphQL is found out by what is missing.
    const answer = JSON.parse(text) as Answer | null
    if (answer && (answer.data || answer.errors)) return answer
  } catch {
    // Told below.
  }
  throw new KernClientError('BAD_RESPONSE', `The answer is ${text.slice(0, 80)}: allowed is one of GraphQL`)
}
