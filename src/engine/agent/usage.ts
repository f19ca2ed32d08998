import type { TokenUsage } from '../records.ts'

/** The tokens of both; null if neither counts any. */
export function addUsage(one: TokenUsage | null, other: TokenUsage | null): TokenUsage | null {
  if (one === null || other === null) return one ?? other
  return {
    inputTokens: one.inputTokens + other.inputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    totalTokens: one.totalTokens + other.totalTokens,
  }
}

/** Tokens as the SDK counts them: undefined is what the provider does not tell. */
export type ToldUsage = { readonly [Count in keyof TokenUsage]: number | undefined }

/** What a call used; null where the provider tells nothing. */
export function usageOf({ inputTokens, outputTokens, totalTokens }: ToldUsage): TokenUsage | null {
  if (inputTokens === undefined && outputTokens === undefined && totalTokens === undefined) return null
  const [input, output] = [inputTokens ?? 0, outputTokens ?? 0]
  return { inputTokens: input, outputTokens: output, totalTokens: totalTokens ?? input + output }
}
