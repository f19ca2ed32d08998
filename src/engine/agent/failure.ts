import { stripVTControlCharacters } from 'node:util'
import type { FinishReason } from 'ai'
import { isKernError, KernError, type KernErrorCode, NonRetryableError, shown } from '../../errors.ts'
import type { AgentModel, AgentNode } from '../../workflow/definition.ts'

/** How much of a provider's message is kept, in characters. */
const MAX_MESSAGE = 500

/** What looks like a key: some providers repeat the one that they refuse. */
const KEYS = /\b(?:bearer\s+|sk-|pk-|gsk_|xai-|AIza)(?=\S*\d)[\w.~+/=-]{6,}/gi

/** Errors of the SDK, by name, of an answer that broke off or cannot be read. Another call may go better. */
const BROKEN_ANSWERS: ReadonlySet<unknown> = new Set([
  'AI_EmptyResponseBodyError',
  'AI_InvalidResponseDataError',
  'AI_InvalidStreamPartError',
  'AI_JSONParseError',
  'AI_NoContentGeneratedError',
  'AI_NoOutputGeneratedError',
  'AI_TypeValidationError',
])

/**
 * What was thrown by a call of a model, as an error of Kern: MODEL_UNAVAILABLE where another call may succeed,
 * MODEL_REFUSED where it will not, OUTPUT_INVALID for an answer that is no JSON. Errors of Kern's own stay as they are.
 */
export function modelError(thrown: unknown, model: AgentModel): Error {
  if (isKernError(thrown) || thrown instanceof NonRetryableError) return thrown
  const named = nameOf(model)
  if (read(thrown, 'name') === 'AI_NoObjectGeneratedError') return noAnswer(model, read(thrown, 'text'), thrown)
  const code: KernErrorCode = mayRetry(thrown) ? 'MODEL_UNAVAILABLE' : 'MODEL_REFUSED'
  const status = read(thrown, 'statusCode')
  const refused = code === 'MODEL_REFUSED' ? 'cannot be called' : 'gave no whole answer'
  const did = typeof status === 'number' && status >= 400 ? `answered with status ${status}` : refused
  return new KernError(code, `${named} ${did}: ${messageOf(thrown)}`, { cause: thrown })
}

/** An answer that is not the JSON that was asked for. */
export function noAnswer(model: AgentModel, text: unknown, cause?: unknown): KernError {
  const message = `${nameOf(model)} answered ${shown(text)}: allowed is JSON of the schema that it was given`
  return new KernError('OUTPUT_INVALID', message, { cause })
}

/** How the last call of a model ended. */
export interface Finish {
  readonly finishReason: FinishReason
  /** The tools that it asked for. */
  readonly toolNames: readonly string[]
  /** How many calls of the model there were. */
  readonly calls: number
  readonly node: AgentNode
}

/** Why an answer that came to its end is none; null if it is one. */
export function unfinished(model: AgentModel, { finishReason, toolNames, calls, node }: Finish): KernError | null {
  const named = nameOf(model)
  switch (finishReason) {
    case 'stop':
    case 'other':
      return null
    case 'length':
      return new KernError('OUTPUT_INVALID', `the answer of ${named} was cut off at its limit of tokens`)
    case 'tool-calls': {
      const asked = toolNames.map((name) => shown(name)).join(', ')
      const message = `${named} did not answer, but asked for tools (${asked}) in call ${calls} of at most ${node.maxSteps} (maxSteps)`
      return new KernError('OUTPUT_INVALID', message)
    }
    case 'content-filter':
      return new KernError('MODEL_REFUSED', `the answer of ${named} was held back by a filter of its provider`)
    case 'error':
    case 'interrupted':
      return new KernError('MODEL_UNAVAILABLE', `${named} did not end its answer, for a reason that it does not name`)
  }
}

function nameOf(model: AgentModel): string {
  return typeof model === 'string' ? `model ${shown(model)}` : `model ${shown(model.modelId)} of ${model.provider}`
}

function mayRetry(thrown: unknown): boolean {
  const said = read(thrown, 'isRetryable')
  const name = read(thrown, 'name')
  // What a stream says in its middle has no status in most cases. The call itself was not refused.
  if (name === 'AI_StreamProviderError' && read(thrown, 'statusCode') === undefined) return true
  if (typeof said === 'boolean') return said
  if (BROKEN_ANSWERS.has(name)) return true
  // The SDK's other errors, and those of its gateway, are about how it was called. What else is thrown comes from the network.
  return typeof name !== 'string' || !/^(AI_|Gateway)/.test(name)
}

function messageOf(thrown: unknown): string {
  const message = read(thrown, 'message')
  const text = stripVTControlCharacters(typeof message === 'string' ? message : shown(thrown))
  const line = text.replaceAll(/\s+/g, ' ').trim().replaceAll(KEYS, '[key]')
  return line.length > MAX_MESSAGE ? `${line.slice(0, MAX_MESSAGE - 1)}…` : line
}

function read(thrown: unknown, key: string): unknown {
  return typeof thrown === 'object' && thrown !== null ? Reflect.get(thrown, key) : undefined
}
