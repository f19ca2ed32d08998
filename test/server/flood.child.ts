// Run as a process of its own, with --expose-gc: only there can memory be told from garbage. Prints by how many bytes it
// grew while a client read ten thousand events of a stream that goes on.
import { get } from 'node:http'
import { createGate, startTiny } from './tiny.ts'

const EVENT_BYTES = 1_000

function usedBytes(): number {
  if (!globalThis.gc) throw new Error('started without --expose-gc')
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

await using tiny = await startTiny()
const query = encodeURIComponent('subscription { flood }')
const done = createGate()
let received = 0
let before: number | undefined
const request = get(
  `${tiny.server.url}/graphql?query=${query}`,
  { headers: { accept: 'text/event-stream' } },
  (res) => {
    res.on('data', (chunk: Buffer) => {
      received += chunk.length
      if (received < 1_000 * EVENT_BYTES) return
      before ??= usedBytes()
      if (received < 11_000 * EVENT_BYTES) return
      res.removeAllListeners('data')
      process.stdout.write(String(usedBytes() - before))
      done.open()
    })
  },
)
await done.opened
request.destroy()
await tiny.floodReleased.opened
