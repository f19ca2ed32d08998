/** Knows which tools are being executed: a call of a model that was cut off does not wait for them. */
export interface ToolWatch {
  started(callId: string): void
  stopped(callId: string): void
  /** Resolves when no tool is being executed. */
  ended(): Promise<void>
}

export function createToolWatch(): ToolWatch {
  const running = new Map<string, PromiseWithResolvers<void>>()
  return {
    started: (callId) => void running.set(callId, Promise.withResolvers()),
    stopped: (callId) => running.get(callId)?.resolve(),
    async ended() {
      await Promise.all([...running.values()].map(({ promise }) => promise))
    },
  }
}
