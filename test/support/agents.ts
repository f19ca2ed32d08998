import { simulateReadableStream } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'
import { callAgent } from '../../src/engine/agent/call.ts'
import type { TokenUsage } from '../../src/engine/records.ts'
import type { ReadContext } from '../../src/workflow/context.ts'
import type { AgentNode } from '../../src/workflow/definition.ts'

export interface CallOptions {
  readonly input?: unknown
  /** The history block. @default none */
  readonly history?: string
  readonly signal?: AbortSignal
  /** Called with each partial answer. */
  readonly partial?: (value: unknown) => void
}

export interface AgentCalled {
  /** Settles as the call does. */
  readonly answer: Promise<unknown>
  readonly partials: readonly unknown[]
  readonly usages: readonly TokenUsage[]
}

/** Calls the model of an agent step, without a run around it. */
export function startAgent(node: AgentNode, options: CallOptions = {}): AgentCalled {
  const { input, history = '', signal = new AbortController().signal, partial } = options
  const partials: unknown[] = []
  const usages: TokenUsage[] = []
  const context: ReadContext = {
    input,
    runInput: input,
    state: {},
    history: { runs: [], text: history, get: async () => [] },
    outputOf: () => {
      throw new Error('there is no earlier step')
    },
    signal,
    runId: 'run',
    sessionId: 'session',
    userId: null,
    stepPath: node.name,
  }
  const answer = callAgent(node, context, {
    partial: (value) => {
      partials.push(value)
      partial?.(value)
    },
    used: (usage) => void usages.push(usage),
  })
  return { answer, partials, usages }
}

/** What a model in memory answers to one call: pieces of text, and its tokens in and out. */
export type Said = readonly [pieces: readonly string[], usage: readonly [number, number]]

type StreamResult = Awaited<ReturnType<MockLanguageModelV4['doStream']>>
type StreamPart = StreamResult['stream'] extends ReadableStream<infer Part> ? Part : never

/** A model in memory that gives these answers in order, one a call. */
export function mockModel(...answers: readonly Said[]): MockLanguageModelV4 {
  return new MockLanguageModelV4({ doStream: answers.map(streamOf) })
}

function streamOf([pieces, [input, output]]: Said): StreamResult {
  const usage = {
    inputTokens: { total: input, noCache: input, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: output, text: output, reasoning: 0 },
  }
  const chunks: StreamPart[] = [
    { type: 'text-start', id: 'answer' },
    ...pieces.map((delta) => ({ type: 'text-delta', id: 'answer', delta }) as const),
    { type: 'text-end', id: 'answer' },
    { type: 'finish', finishReason: { unified: 'stop', raw: 'stop' }, usage },
  ]
  return { stream: simulateReadableStream({ chunks, initialDelayInMs: null, chunkDelayInMs: null }) }
}
