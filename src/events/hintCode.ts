import type { Hint } from '../engine/hints.ts'

/** The server takes less than 8,000 bytes. Messages are ASCII, so their length is that in any encoding. */
export const MAX_MESSAGE = 7_900

/** What a message says. */
export interface HintMessage {
  readonly from: string
  readonly hints: readonly Hint[]
}

/** Puts hints into as few messages as they fit in. One that fits in none says to look at everything instead. */
export function encodeHints(from: string, hints: readonly Hint[]): string[] {
  const messages: string[] = []
  const begin = `[${asciiOf(from)}`
  let message = begin
  for (const hint of hints) {
    const text = asciiOf(itemOf(hint))
    const item = begin.length + text.length + 2 > MAX_MESSAGE ? asciiOf(itemOf({ type: 'missed' })) : text
    if (message.length + item.length + 2 > MAX_MESSAGE) {
      messages.push(`${message}]`)
      message = begin
    }
    message += `,${item}`
  }
  if (message !== begin) messages.push(`${message}]`)
  return messages
}

/** Reads a message, wherever it comes from: undefined if it is none. */
export function decodeHints(message: string): HintMessage | undefined {
  const [from, ...items] = arrayIn(message)
  if (typeof from !== 'string') return undefined
  const hints = items.map(hintIn)
  return hints.includes(undefined) ? undefined : { from, hints: hints.filter((hint) => hint !== undefined) }
}

/** Whether a message is from this sender, told without reading the whole of it. */
export function isFrom(from: string, message: string): boolean {
  return message.startsWith(`[${asciiOf(from)}`)
}

/** JSON in which all other characters are escaped. */
function asciiOf(value: unknown): string {
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, escaped)
}

/** Without the names of its members, which each message would repeat a hundred times. */
function itemOf(hint: Hint): readonly unknown[] {
  switch (hint.type) {
    case 'changed':
      return [hint.type, hint.runId, hint.sessionId, hint.workflowId, hint.settled]
    case 'asked':
      return [hint.type, hint.runId]
    case 'waiting':
    case 'missed':
      return [hint.type]
  }
}

function hintIn(item: unknown): Hint | undefined {
  const [type, runId, sessionId, workflowId, settled]: unknown[] = Array.isArray(item) ? item : []
  if (type === 'waiting' || type === 'missed') return { type }
  if (typeof runId !== 'string') return undefined
  if (type === 'asked') return { type, runId }
  const whole = typeof sessionId === 'string' && typeof workflowId === 'string' && typeof settled === 'boolean'
  return type === 'changed' && whole ? { type, runId, sessionId, workflowId, settled } : undefined
}

function arrayIn(message: string): unknown[] {
  try {
    const value: unknown = JSON.parse(message)
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}
