import { KernError, shown } from '../../errors.ts'
import { withHistory } from '../../session/history.ts'
import type { ReadContext } from '../../workflow/context.ts'
import type { AgentMessage, AgentModel, AgentNode, Computed } from '../../workflow/definition.ts'

/** What a model is asked, once the author's functions have been called. */
export interface AgentRequest {
  readonly model: AgentModel
  readonly system: string | null
  readonly messages: readonly AgentMessage[]
  readonly tools: Readonly<Record<string, object>> | null
}

/**
 * Calls the functions of a node, and puts the history block before what the model is asked.
 *
 * @throws KernError OUTPUT_INVALID if one of them gives something else than it must; what they throw passes
 */
export async function requestOf(node: AgentNode, context: ReadContext): Promise<AgentRequest> {
  const of = (what: string) => `${what} of step "${context.stepPath}"`
  return {
    model: checkModel(of('model'), await valueOf(node.model, context)),
    system: node.system === null ? null : checkText(of('system'), await valueOf(node.system, context)),
    messages: await messagesOf(node, context),
    tools: node.tools === null ? null : checkTools(of('tools'), await valueOf(node.tools, context)),
  }
}

async function messagesOf({ prompt, messages }: AgentNode, context: ReadContext): Promise<readonly AgentMessage[]> {
  const { history, stepPath } = context
  if (prompt !== null) {
    const text = checkText(`prompt of step "${stepPath}"`, await valueOf(prompt, context))
    return [{ role: 'user', content: withHistory(text, history.text) }]
  }
  const given = checkMessages(`messages of step "${stepPath}"`, messages && (await valueOf(messages, context)))
  return history.text === '' ? given : [{ role: 'user', content: history.text }, ...given]
}

async function valueOf<Value>(computed: Computed<Value>, context: ReadContext): Promise<unknown> {
  return typeof computed === 'function'
    ? // A value is never a function itself: models, texts, messages and tools are objects and texts.
      await (computed as (context: ReadContext) => Value | PromiseLike<Value>)(context)
    : computed
}

function wrong(what: string, value: unknown, allowed: string): KernError {
  return new KernError('OUTPUT_INVALID', `the ${what} is ${shown(value)}: allowed is ${allowed}`)
}

function checkText(what: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw wrong(what, value, 'text')
}

function checkModel(what: string, value: unknown): AgentModel {
  if (typeof value === 'string' && value !== '') return value
  // The SDK refuses what is an object and no model.
  if (isObject(value)) return value as AgentModel
  throw wrong(what, value, 'a model of the ai SDK, or the id of one')
}

function checkTools(what: string, value: unknown): Readonly<Record<string, object>> {
  // The SDK refuses what is an object and no tool.
  if (isObject(value) && Object.values(value).every(isObject)) return value as Readonly<Record<string, object>>
  throw wrong(what, value, 'an object of tools of the ai SDK')
}

function checkMessages(what: string, value: unknown): readonly AgentMessage[] {
  if (Array.isArray(value) && value.some(isOfSystem)) {
    throw wrong(what, value, "none with the role system: give that text as the step's system")
  }
  if (Array.isArray(value) && value.length > 0 && value.every(isMessage)) return value
  throw wrong(what, value, 'a list of messages, at least one, each { role, content }')
}

function isOfSystem(value: unknown): boolean {
  return isObject(value) && 'role' in value && value.role === 'system'
}

function isMessage(value: unknown): value is AgentMessage {
  return isObject(value) && 'role' in value && typeof value.role === 'string' && 'content' in value
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
