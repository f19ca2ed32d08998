import { tool } from 'ai'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { KernError } from '../../../src/errors.ts'
import { agentStep } from '../../../src/workflow/agentStep.ts'
import { startAgent } from '../../support/agents.ts'
import { createGate } from '../../support/kerns.ts'
import { asksFor, breaksOff, says, startModelServer } from '../../support/modelServer.ts'

describe('a call that is cut off', () => {
  const reason = new KernError('CANCELLED', 'enough')

  test.each([
    ['an error of Kern', reason],
    ['any other', new Error('enough')],
  ])('by %s in the middle of an answer ends the request, and what was said is known', async (_what, reason) => {
    const gate = createGate()
    const { model, exchanges } = await startModelServer(breaksOff(gate, 'Once', ' upon'))
    const cut = new AbortController()
    const { answer, partials } = startAgent(agentStep({ name: 'write', model, prompt: 'Write.' }), {
      signal: cut.signal,
      partial: (value) => {
        if (value === 'Once upon') cut.abort(reason)
      },
    })
    await expect(answer).rejects.toBe(reason)
    expect(partials).toEqual(['Once', 'Once upon'])
    expect(await exchanges[0]?.over).toEqual({ complete: false })
  })

  test('before it began does not reach the provider', async () => {
    const { model, exchanges } = await startModelServer(says(['Hello']))
    const { answer } = startAgent(agentStep({ name: 'write', model, prompt: 'Write.' }), {
      signal: AbortSignal.abort(reason),
    })
    await expect(answer).rejects.toBe(reason)
    expect(exchanges).toHaveLength(0)
  })

  test('while a tool is executed tells the tool, and waits for its end', async () => {
    const { model, exchanges } = await startModelServer(asksFor('look', {}), says(['late']))
    const cut = new AbortController()
    const lines: string[] = []
    const gate = createGate()
    const look = tool({
      inputSchema: z.object({}),
      execute: async (_input, { abortSignal }) => {
        abortSignal?.addEventListener('abort', () => lines.push('told'))
        await gate.pass()
        lines.push('ended')
      },
    })
    const node = agentStep({ name: 'ask', model, prompt: 'Look.', tools: { look } })
    const { answer } = startAgent(node, { signal: cut.signal })
    const failed = answer.catch((error: unknown) => {
      lines.push('failed')
      return error
    })
    await gate.reached
    cut.abort(reason)
    // Longer than a call without tools takes to fail.
    await new Promise(setImmediate)
    gate.open()
    expect(await failed).toBe(reason)
    expect(lines).toEqual(['told', 'ended', 'failed'])
    expect(exchanges).toHaveLength(1)
  })
})
