import { setTimeout as wait } from 'node:timers/promises'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import type { LanguageModel } from 'ai'

/** What a provider for the `ai` package implements. */
type Model = Extract<LanguageModel, { specificationVersion: 'v4' }>
type CallOptions = Parameters<Model['doStream']>[0]
type StreamPart = Awaited<ReturnType<Model['doStream']>>['stream'] extends ReadableStream<infer Part> ? Part : never

/**
 * The model that the environment names: `OPENAI_API_KEY` and `OPENAI_MODEL` of any provider with an API like OpenAI's,
 * which is at `OPENAI_BASE_URL` if it is another one. Without them {@link parrot}.
 */
export function modelOfEnvironment(): Model {
  const { OPENAI_API_KEY: apiKey, OPENAI_MODEL: name, OPENAI_BASE_URL: url } = process.env
  if (!apiKey || !name) return parrot
  const baseURL = url || 'https://api.openai.com/v1'
  return createOpenAICompatible({ name: new URL(baseURL).host, baseURL, apiKey, includeUsage: true })(name)
}

/**
 * A model that needs no network and knows nothing: it says again, word by word, what the last message quotes in lines
 * that begin with `>`.
 */
export const parrot: Model = {
  specificationVersion: 'v4',
  provider: 'examples',
  modelId: 'parrot',
  supportedUrls: {},
  doGenerate: () => {
    throw new Error('the parrot only streams')
  },
  doStream: async ({ prompt, abortSignal }) => ({ stream: streamOf(partsOf(textOf(prompt), abortSignal)) }),
}

async function* partsOf(asked: string, signal: AbortSignal | undefined): AsyncGenerator<StreamPart, void> {
  const quotes = [...asked.matchAll(/^> (.*)$/gm)].map(([, quote = '']) => quote)
  const words = quotes.join(' ').match(/\S+\s*/g) ?? []
  yield { type: 'stream-start', warnings: [] }
  yield { type: 'text-start', id: 'answer' }
  for (const delta of words) {
    await wait(20, undefined, { signal })
    yield { type: 'text-delta', id: 'answer', delta }
  }
  yield { type: 'text-end', id: 'answer' }
  yield { type: 'finish', finishReason: { unified: 'stop', raw: 'stop' }, usage: usageOf(asked, words.length) }
}

function streamOf(parts: AsyncGenerator<StreamPart, void>): ReadableStream<StreamPart> {
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await parts.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    cancel: () => parts.return().then(() => undefined),
  })
}

function textOf(prompt: CallOptions['prompt']): string {
  const message = prompt.at(-1)
  return message?.role === 'user' ? message.content.map((part) => (part.type === 'text' ? part.text : '')).join('') : ''
}

/** A parrot counts words and has no cache. */
function usageOf(asked: string, said: number): Extract<StreamPart, { type: 'finish' }>['usage'] {
  const read = asked.split(/\s+/).length
  return {
    inputTokens: { total: read, noCache: read, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: said, text: said, reasoning: 0 },
  }
}
