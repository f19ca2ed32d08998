import { request } from 'node:http'
import { connect } from 'node:net'
import { clientFrame, OPCODE, readFrames } from './frames.ts'
import { TICKS } from './ticks.ts'

/*
 * Clients that do next to nothing: they share the machine with the server that is measured. Messages are not parsed, but
 * searched for the number of a tick.
 */

/** A connection with one subscription or more. */
export interface Connection {
  /** Reads nothing more from the network. */
  pause(): void
  resume(): void
  /** Cuts the connection. */
  cut(): void
}

export interface ConnectionOptions {
  /** Where GraphQL is. */
  readonly url: URL
  /** The address to connect from, as each has ports for some 28,000 connections only. */
  readonly from: string
  /** A subscription for each. */
  readonly runIds: readonly string[]
  /** A tick has come. The text is as it came, with what is around it in the protocol. */
  onTick(tick: number, text: () => string): void
  /** Another event has come. */
  onOther(): void
  /** The end, with the code of a WebSocket's close frame; null if there was none. */
  onClose(code: number | null): void
  /** What a server answers instead of events. */
  onError(message: string): void
}

const TICK_FIELD = '"tick":'
const NEXT = '"type":"next"'
/** The bytes that tell what kind of message it is stand before those that are padding. */
const START = 1_024
const DIGIT_0 = 48

function tickIn(bytes: Buffer, start: number, end: number): number | null {
  const found = bytes.subarray(start, Math.min(end, start + START)).indexOf(TICK_FIELD, 0, 'latin1')
  if (found < 0) return null
  let tick = 0
  for (let i = start + found + TICK_FIELD.length; i < end; i += 1) {
    const digit = bytes.readUInt8(i) - DIGIT_0
    if (digit < 0 || digit > 9) break
    tick = tick * 10 + digit
  }
  return tick
}

/** By the protocol graphql-transport-ws. */
export function openWebSocket(options: ConnectionOptions): Connection {
  const { url, from, runIds, onTick, onOther, onClose, onError } = options
  const socket = connect({ host: url.hostname, port: Number(url.port), localAddress: from, noDelay: true })
  let rest: Buffer | null = null
  let upgraded = false
  let closeCode: number | null = null
  const send = (message: object) => socket.write(clientFrame(OPCODE.text, JSON.stringify(message)))

  function onText(bytes: Buffer, start: number, end: number): void {
    const tick = tickIn(bytes, start, end)
    if (tick !== null) return onTick(tick, () => bytes.toString('utf8', start, end))
    const text = bytes.toString('utf8', start, end)
    if (text.includes(NEXT)) return onOther()
    if (!text.includes('"type":"connection_ack"')) return onError(text)
    for (const [index, runId] of runIds.entries()) {
      send({ id: String(index + 1), type: 'subscribe', payload: { query: TICKS, variables: { runId } } })
    }
  }

  /** How many bytes of the answer to the upgrade there are; 0 if it is not whole. */
  function readUpgrade(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n\r\n')
    if (end < 0) return 0
    const [status = ''] = bytes.toString('latin1', 0, end).split('\r\n')
    if (!status.includes(' 101 ')) onError(`the upgrade was answered by ${status}`)
    upgraded = true
    send({ type: 'connection_init' })
    return end + 4
  }

  socket.on('data', (chunk) => {
    let bytes = rest ? Buffer.concat([rest, chunk]) : chunk
    if (!upgraded) bytes = bytes.subarray(readUpgrade(bytes))
    if (!upgraded) {
      rest = bytes
      return
    }
    const read = readFrames(bytes, ({ opcode, start, end }) => {
      if (opcode === OPCODE.text) onText(bytes, start, end)
      else if (opcode === OPCODE.ping) socket.write(clientFrame(OPCODE.pong))
      else if (opcode === OPCODE.close) {
        closeCode = end - start >= 2 ? bytes.readUInt16BE(start) : null
        socket.end(clientFrame(OPCODE.close))
      }
    })
    rest = read < bytes.length ? bytes.subarray(read) : null
  })
  socket.once('connect', () => {
    const head = [
      `GET ${url.pathname} HTTP/1.1`,
      `Host: ${url.host}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${Buffer.from('sixteen bytes ok').toString('base64')}`,
      'Sec-WebSocket-Protocol: graphql-transport-ws',
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
  })
  socket.on('error', () => undefined)
  socket.once('close', () => onClose(closeCode))
  return { pause: () => socket.pause(), resume: () => socket.resume(), cut: () => socket.destroy() }
}

const EVENT_END = Buffer.from('\n\n')

/** By server-sent events: a connection has one subscription. */
export function openEventStream(options: ConnectionOptions): Connection {
  const { url, from, runIds, onTick, onOther, onClose, onError } = options
  const body = JSON.stringify({ query: TICKS, variables: { runId: runIds[0] } })
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    accept: 'text/event-stream',
  }
  const sent = request(url, { method: 'POST', agent: false, localAddress: from, headers })
  let rest: Buffer | null = null

  function onEvent(bytes: Buffer, start: number, end: number): void {
    const tick = tickIn(bytes, start, end)
    if (tick !== null) return onTick(tick, () => bytes.toString('utf8', start, end))
    const text = bytes.toString('utf8', start, end)
    if (!text.includes('event: next')) return
    if (text.includes('"errors"')) onError(text)
    else onOther()
  }

  sent.once('response', (response) => {
    if (response.statusCode !== 200) onError(`the subscription was answered by ${response.statusCode}`)
    response.on('data', (chunk: Buffer) => {
      const bytes = rest ? Buffer.concat([rest, chunk]) : chunk
      let start = 0
      for (let end = bytes.indexOf(EVENT_END); end >= 0; end = bytes.indexOf(EVENT_END, start)) {
        onEvent(bytes, start, end + EVENT_END.length)
        start = end + EVENT_END.length
      }
      rest = start < bytes.length ? bytes.subarray(start) : null
    })
    response.on('error', () => undefined)
  })
  sent.on('error', () => undefined)
  sent.once('close', () => onClose(null))
  sent.end(body)
  return {
    pause: () => sent.socket?.pause(),
    resume: () => sent.socket?.resume(),
    cut: () => sent.destroy(),
  }
}
