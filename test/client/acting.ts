import { expect } from 'vitest'
import type { KernClientOptions, RunEvent } from '../../src/client/index.ts'
import { event, type Script, type Scripted, startScripted, type Subscribed } from './scripted.ts'
import { createClient } from './support.ts'

export const seqs = (events: readonly RunEvent[]): number[] => events.map(({ seq }) => seq)

/** A server that acts by a script, and a client of it. */
export async function scripted(script: Script | Script['subscribed'], options: Partial<KernClientOptions> = {}) {
  const server = await startScripted(typeof script === 'function' ? { subscribed: script } : script)
  return { server, client: createClient({ url: server.url, retryMs: 5, ...options }) }
}

/** Resolves when clients have nothing open any more. */
export const ended = (server: Scripted) => expect.poll(() => server.open, { timeout: 10_000 }).toBe(0)

/** Gives the events of the run `r` from a number on, up to the final one, which is the fifth. */
export function finish(subscription: Subscribed, from: number): void {
  for (let seq = from; seq < 5; seq++) subscription.next(event('r', seq))
  subscription.next(event('r', 5, { type: 'RUN_COMPLETED' }))
}
