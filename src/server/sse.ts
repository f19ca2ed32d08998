import type { ServerResponse } from 'node:http'
import type { GraphQLError } from 'graphql'
import { type Backlog, type BacklogLimits, createBacklog } from './fanout/backlog.ts'
import type { Frame, Outlet } from './fanout/frame.ts'
import { onWire } from './fanout/render.ts'
import type { Subscription } from './fanout/subscription.ts'

export interface SseLimits extends BacklogLimits {
  /** How often clients are pinged, in milliseconds. */
  readonly pingMs: number
}

/** Subscriptions over HTTP, as streams of server-sent events: `next` with each result, then `complete`. */
export interface Sse {
  /** Where the frames of a subscription go. */
  outlet(res: ServerResponse): Outlet
  /**
   * Sends a subscription whose head was sent, until it ends or the signal aborts. Cut off by the signal it ends without
   * `complete`, so that clients come back instead of taking it as whole.
   */
  serve(subscription: Subscription, res: ServerResponse, over: AbortSignal): Promise<void>
  /** How many there are. */
  count(): number
  /** Stops pinging. */
  close(): void
}

const PING = Buffer.from(':\n\n')
const COMPLETE = Buffer.from('event: complete\ndata:\n\n')
const BEGIN = Buffer.from('event: next\ndata: ')
const END = Buffer.from('\n\n')

export function createSse(limits: SseLimits): Sse {
  const texts = new WeakMap<Frame, Buffer>()
  const backlogs = new WeakMap<ServerResponse, Backlog>()
  const streams = new Set<ServerResponse>()
  const ping = setInterval(() => {
    for (const res of streams) {
      if (backlogs.get(res)?.isStalled()) res.destroy()
      // Behind something that waits it would tell the client nothing.
      else if (res.writableLength === 0) res.write(PING)
    }
  }, limits.pingMs)

  /** One text for all who are sent the frame. */
  function textOf(frame: Frame): Buffer {
    const text = texts.get(frame) ?? Buffer.concat([BEGIN, frame.payload, END])
    texts.set(frame, text)
    return text
  }

  return {
    outlet(res) {
      const backlog = createBacklog(() => res.writableLength, limits)
      backlogs.set(res, backlog)
      return {
        push(frame) {
          if (!res.writable) return
          // It could not be told why: it does not read.
          if (backlog.isFull()) return void res.destroy()
          const text = textOf(frame)
          backlog.add(text.length)
          res.write(text)
        },
        send: (frame) =>
          new Promise((resolve) => {
            if (!res.writable) return resolve()
            const text = textOf(frame)
            backlog.addPaced(text.length)
            res.write(text, () => {
              backlog.left(text.length)
              resolve()
            })
          }),
      }
    },
    async serve(subscription, res, over) {
      streams.add(res)
      res.once('close', () => streams.delete(res))
      const leave = () => void subscription.return()
      over.addEventListener('abort', leave, { once: true })
      if (over.aborted) leave()
      // Some browsers tell pages of an answer only when something of it has come.
      else res.write(PING)
      try {
        await subscription.next()
      } catch (error) {
        // `as`: it fails with errors that are fit for clients, which are those of GraphQL.
        if (!over.aborted)
          res.write(`event: next\ndata: ${JSON.stringify({ errors: [onWire(error as GraphQLError)] })}\n\n`)
      } finally {
        over.removeEventListener('abort', leave)
      }
      res.end(over.aborted ? undefined : COMPLETE)
    },
    count: () => streams.size,
    close: () => clearInterval(ping),
  }
}
