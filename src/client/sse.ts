import { asClientError, errorIn, unavailable } from './errors.ts'
import { parseAnswer, type Post, readAnswer } from './http.ts'
import { type ConnectionTimes, type Sink, type Transport, watchSilence } from './transport.ts'

/** Subscriptions over HTTP, each on a connection of its own. */
export function createSseTransport(post: Post, { silenceMs }: ConnectionTimes): Transport {
  return {
    open: (operation, sink) => {
      const over = new AbortController()
      const silence = watchSilence(silenceMs, {
        ask: () => {},
        dead: () => over.abort(unavailable('The connection was silent for too long')),
      })
      const follow = async (): Promise<void> => {
        try {
          const response = await post(operation, { accept: EVENT_STREAM, signal: over.signal })
          await readStream(response, sink, silence.heard)
          sink.end()
        } catch (error) {
          sink.end(asClientError(over.signal.aborted ? over.signal.reason : error))
        } finally {
          silence.stop()
          // What is read to `complete` may still be open.
          over.abort()
        }
      }
      void follow()
      return () => over.abort()
    },
  }
}

const EVENT_STREAM = 'text/event-stream'

/** Resolves at the event `complete`. @throws KernClientError UNAVAILABLE if the stream ends without */
async function readStream(response: Response, sink: Sink, heard: () => void): Promise<void> {
  if (!response.headers.get('content-type')?.startsWith(EVENT_STREAM)) {
    const { errors = [] } = await readAnswer(response)
    throw errorIn(errors)
  }
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  let event = ''
  let data = ''
  let rest = ''
  for (;;) {
    const part = await reader?.read()
    if (!part || part.done) throw unavailable('The stream was cut off')
    heard()
    // Only what is new is searched: an event may come in many parts.
    const [first = '', ...lines] = decoder.decode(part.value, { stream: true }).split('\n')
    rest += first
    for (const next of lines) {
      const line = rest.endsWith('\r') ? rest.slice(0, -1) : rest
      rest = next
      // Lines of comments are there to be heard.
      const [, field, value = ''] = /^(event|data): ?(.*)/s.exec(line) ?? []
      if (field === 'event') event = value
      else if (field) data += `${value}\n`
      if (line) continue
      if (event === 'complete') return
      if (event === 'next') sink.next(parseAnswer(data), data.length)
      event = data = ''
    }
  }
}
