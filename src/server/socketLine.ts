import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { type BacklogLimits, createBacklog } from './fanout/backlog.ts'
import type { Frame, Outlet } from './fanout/frame.ts'
import type { Subscription } from './fanout/subscription.ts'

export interface LineLimits extends BacklogLimits {
  /** How long a client that was too slow may take to read why, in milliseconds; then it is cut. */
  readonly closeMs: number
}

/** The connection of one WebSocket client, as far as its subscriptions go. */
export interface Line {
  /** Where the frames of the operation go. */
  outlet(operationId: string): Outlet
  /** Keeps a place for a subscription that is being opened; false if there is none. */
  reserve(max: number): boolean
  /** The place is of this subscription now; null if there is none after all. */
  take(subscription: Subscription | null): void
  /** Closes the connection if nothing has left for too long. To be called from time to time. */
  check(): void
  /** Ends all subscriptions. To be called when the socket is closed. */
  release(): void
}

/** Of the codes that applications may use: the client was too slow, and may subscribe again from where it is. */
const TOO_SLOW = 4410
const TOO_SLOW_REASON = 'Too slow: subscribe again with after: the cursor of the last event'

/** From this many bytes on all connections share the payload, instead of having a copy each. */
const LARGE = 65_536
const CLOSE_BRACE = 0x7d
const END = Buffer.of(CLOSE_BRACE)
/** The first byte of a WebSocket message that is text, in one frame (RFC 6455, 5.2). */
const TEXT = 0x81

/** @param raw the connection that the socket is on */
export function createLine(socket: WebSocket, raw: Duplex, limits: LineLimits): Line {
  const backlog = createBacklog(() => socket.bufferedAmount, limits)
  const subscriptions = new Set<Subscription>()
  let opening = 0
  let isClosed = false

  function release(): void {
    isClosed = true
    for (const subscription of subscriptions) void subscription.return()
    subscriptions.clear()
  }

  function closeAsTooSlow(): void {
    if (isClosed) return
    release()
    socket.close(TOO_SLOW, TOO_SLOW_REASON)
    // The reason stands behind everything else that waits, and nobody may read that.
    const cut = setTimeout(() => socket.terminate(), limits.closeMs)
    socket.once('close', () => clearTimeout(cut))
  }

  return {
    outlet: (operationId) => createOutlet(operationId),
    reserve(max) {
      for (const subscription of subscriptions) if (subscription.hasEnded) subscriptions.delete(subscription)
      if (isClosed || subscriptions.size + opening >= max) return false
      opening += 1
      return true
    },
    take(subscription) {
      opening -= 1
      if (!subscription) return
      if (isClosed) return void subscription.return()
      subscriptions.add(subscription)
      const forget = () => subscriptions.delete(subscription)
      subscription.ended.then(forget, forget)
    },
    check() {
      if (!isClosed && backlog.isStalled()) closeAsTooSlow()
    },
    release,
  }

  function createOutlet(operationId: string): Outlet {
    const head = Buffer.from(`{"id":${JSON.stringify(operationId)},"type":"next","payload":`)
    return {
      push(frame) {
        if (isClosed || socket.readyState !== socket.OPEN) return
        if (backlog.isFull()) return closeAsTooSlow()
        backlog.add(write(raw, head, frame))
      },
      send: (frame) =>
        new Promise((resolve) => {
          if (isClosed) return resolve()
          if (socket.readyState !== socket.OPEN) {
            // It is being closed: nothing of what is still to be read would reach the client.
            release()
            return resolve()
          }
          const size = write(raw, head, frame, () => {
            backlog.left(size)
            resolve()
          })
          backlog.addPaced(size)
        }),
    }
  }
}

/**
 * Writes the message past the WebSocket library, in one piece. That takes half of what its `send` does, which is most of
 * what a delivery costs. It does no harm as the library writes its own messages at once and whole, since nothing is
 * compressed.
 *
 * @returns how many bytes it has
 */
function write(raw: Duplex, head: Buffer, { payload }: Frame, done?: () => void): number {
  const length = head.length + payload.length + END.length
  const start = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const isLarge = payload.length >= LARGE
  const message = Buffer.allocUnsafe(start + (isLarge ? head.length : length))
  message[0] = TEXT
  if (start === 2) message[1] = length
  else if (start === 4) {
    message[1] = 126
    message.writeUInt16BE(length, 2)
  } else {
    message[1] = 127
    message.writeBigUInt64BE(BigInt(length), 2)
  }
  message.set(head, start)
  if (isLarge) {
    raw.cork()
    raw.write(message)
    raw.write(payload)
    raw.write(END, done)
    raw.uncork()
  } else {
    message.set(payload, start + head.length)
    message[start + length - 1] = CLOSE_BRACE
    raw.write(message, done)
  }
  return start + length
}
