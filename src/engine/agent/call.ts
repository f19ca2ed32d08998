import type * as Sdk from 'ai'
import type { LanguageModel, LanguageModelCallOptions, ModelMessage, RequestOptions, ToolSet } from 'ai'
import type { ReadContext } from '../../workflow/context.ts'
import type { AgentNode, AgentSettings } from '../../workflow/definition.ts'
import type { TokenUsage } from '../records.ts'
import { modelError, noAnswer, unfinished } from './failure.ts'
import { type AnswerFormat, answerFormat } from './format.ts'
import { type AgentRequest, requestOf } from './request.ts'
import { createToolWatch, type ToolWatch } from './toolWatch.ts'
import { usageOf } from './usage.ts'

export interface AgentListener {
  /** What the model has answered so far: text, or a partial object. It may be cut in the middle of a character. */
  readonly partial: (value: unknown) => void
  /** What one call of the model used, as soon as that has ended; not called where the provider does not tell. */
  readonly used: (usage: TokenUsage) => void
}

/**
 * Asks a language model: calls it, executes the tools that it asks for, calls it again, until it answers.
 *
 * @returns its answer, text or JSON, which is not checked by the node's schema yet
 * @throws the reason of the context's signal, once that has aborted and no tool is executed any more; KernError
 *   MODEL_UNAVAILABLE, MODEL_REFUSED, OUTPUT_INVALID, DEFINITION_INVALID; what the node's own functions throw
 */
export async function callAgent(node: AgentNode, context: ReadContext, listener: AgentListener): Promise<unknown> {
  const request = await requestOf(node, context)
  // An optional package: it is loaded when the first model is called.
  const sdk = await import('ai')
  const format = await answerFormat(sdk, node.output, context.stepPath)
  const tools = createToolWatch()
  try {
    return await answerOf(sdk, { node, request, format, listener, tools, signal: context.signal })
  } catch (error) {
    context.signal.throwIfAborted()
    throw modelError(error, request.model)
  } finally {
    await tools.ended()
  }
}

interface Call {
  readonly node: AgentNode
  readonly request: AgentRequest
  readonly format: AnswerFormat
  readonly listener: AgentListener
  readonly tools: ToolWatch
  readonly signal: AbortSignal
}

async function answerOf(sdk: typeof Sdk, call: Call): Promise<unknown> {
  const { node, request, format, listener } = call
  const failures: unknown[] = []
  const result = streamOf(sdk, call, (error) => failures.push(error))
  for await (const answer of result.partialOutputStream) {
    const partial = format.read(answer)
    if (partial !== undefined) listener.partial(partial)
  }
  if (failures.length > 0) throw failures[0]
  const calls = await result.steps
  const last = await result.finalStep
  const toolNames = last.toolCalls.map(({ toolName }) => toolName)
  const fault = unfinished(request.model, { finishReason: last.finishReason, toolNames, calls: calls.length, node })
  if (fault) throw fault
  const answer = format.read(await result.output)
  if (answer === undefined) throw noAnswer(request.model, last.text)
  return answer
}

/** The SDK tells what fails by a callback, and ends the stream as if it were whole. */
function streamOf(
  sdk: typeof Sdk,
  { node, request, format, listener, tools, signal }: Call,
  failed: (error: unknown) => void,
) {
  return sdk.streamText({
    ...settingsOf(node.settings),
    // The types of definitions name no type of the SDK, which may not be installed: it checks what it gets.
    model: request.model as LanguageModel,
    messages: request.messages as ModelMessage[],
    ...(request.system === null ? {} : { instructions: request.system }),
    ...(request.tools === null ? {} : { tools: request.tools as ToolSet }),
    output: format.output,
    stopWhen: sdk.isStepCount(node.maxSteps),
    // The step's own policy says how often it is tried.
    maxRetries: 0,
    abortSignal: signal,
    onError: ({ error }) => failed(error),
    onStepEnd: ({ usage }) => {
      const used = usageOf(usage)
      if (used) listener.used(used)
    },
    onToolExecutionStart: ({ toolCall }) => tools.started(toolCall.toolCallId),
    onToolExecutionEnd: ({ toolCall }) => tools.stopped(toolCall.toolCallId),
  })
}

/** The settings as the SDK wants them: undefined is none there, too, but its lists are its own. */
function settingsOf({ stopSequences, ...settings }: AgentSettings) {
  const list = stopSequences && [...stopSequences]
  // Its types tell a setting that is undefined from one that is missing; nothing else of it does.
  return { ...settings, stopSequences: list } as LanguageModelCallOptions & RequestOptions<ToolSet>
}
