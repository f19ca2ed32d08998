// Run as a process of its own: it ends by itself only if the closed server left nothing behind that keeps it alive.
import { WebSocket } from 'ws'
import { createGate, overHttp, post, socketUrl, startTiny } from './tiny.ts'

const query = 'subscription { forever }'
const tiny = await startTiny()

const welcomed = createGate()
const socket = new WebSocket(socketUrl(tiny.server), 'graphql-transport-ws')
socket.once('open', () => socket.send(JSON.stringify({ type: 'connection_init' })))
socket.on('message', (data) => {
  if (String(data).includes('connection_ack')) welcomed.open()
})
await welcomed.opened
socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query } }))
const stream = await post(tiny.server, { query }, { accept: 'text/event-stream' })
await overHttp(tiny.server, { query: '{ hello }' })
await fetch(`${tiny.server.url}/health/ready`)
await tiny.foreverWaits.opened

await tiny.server.close()
await stream.text()
process.stdout.write('closed\n')
