/** What a WebSocket server has sent: one message, or what a client has to react to. */
export interface Frame {
  readonly opcode: number
  /** The bytes of the payload are those from `start` to `end` of what was read. */
  readonly start: number
  readonly end: number
}

export const OPCODE = { text: 1, close: 8, ping: 9, pong: 10 } as const

/** Bits of the first two bytes of a frame (RFC 6455, 5.2). */
const FINAL = 0x80
const MASKED = 0x80
const LENGTH = 0x7f

/**
 * Takes the whole frames off the front of what was read. Servers do not mask, and those of the benchmarks neither split
 * messages nor send any of 4 GiB.
 *
 * @returns how many bytes they have
 */
export function readFrames(bytes: Buffer, take: (frame: Frame) => void): number {
  let position = 0
  while (position + 2 <= bytes.length) {
    const opcode = bytes.readUInt8(position) & 0x0f
    const short = bytes.readUInt8(position + 1) & LENGTH
    const header = short === 127 ? 10 : short === 126 ? 4 : 2
    if (position + header > bytes.length) break
    const length =
      header === 2 ? short : header === 4 ? bytes.readUInt16BE(position + 2) : bytes.readUInt32BE(position + 6)
    const start = position + header
    if (start + length > bytes.length) break
    take({ opcode, start, end: start + length })
    position = start + length
  }
  return position
}

/** A frame of a client. Its mask is of zeros: the payload stays as it is. */
export function clientFrame(opcode: number, text = ''): Buffer {
  const payload = Buffer.from(text)
  if (payload.length > 0xffff) throw new Error(`a message of ${payload.length} bytes is longer than this client sends`)
  const long = payload.length > 125
  const header = Buffer.alloc(long ? 8 : 6)
  header.writeUInt8(FINAL | opcode, 0)
  header.writeUInt8(MASKED | (long ? 126 : payload.length), 1)
  if (long) header.writeUInt16BE(payload.length, 2)
  return Buffer.concat([header, payload])
}
