import { createElement, StrictMode, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { createKernClient, type KernClientOptions, type RunEvent, type Watch } from '../../src/client/index.ts'

/** What the script of a page does, for tests that drive it. */
interface Driven {
  readonly document: { readonly body: { appendChild(child: Element): Element }; createElement(name: string): Element }
  ready: boolean
  /** The `seq` of the events that were seen. */
  seen: number[]
  over: boolean
  retries: number
  effects: number
  sockets: () => number
  cut: () => void
  start: (options: KernClientOptions) => Promise<string>
  follow: (options: KernClientOptions, runId: string) => void
  show: (options: KernClientOptions, runId: string) => void
}

// The page is nobody else's.
const page = globalThis as unknown as Driven
const { WebSocket } = globalThis
const sockets: InstanceType<typeof WebSocket>[] = []

/** A WebSocket that is remembered. */
class Known extends WebSocket {
  constructor(url: string, protocol: string) {
    super(url, protocol)
    sockets.push(this)
  }
}

function clientOf(options: KernClientOptions) {
  const onRetry = (): void => {
    page.retries++
  }
  return createKernClient({ ...options, webSocket: Known, onRetry })
}

async function watchAll(watch: Watch<RunEvent>, seen: (event: RunEvent) => void): Promise<void> {
  for await (const event of watch) seen(event)
}

function Run({ options, runId }: { readonly options: KernClientOptions; readonly runId: string }) {
  const [events, setEvents] = useState<readonly RunEvent[]>([])
  const [client] = useState(() => clientOf(options))
  useEffect(() => {
    page.effects++
    const watch = client.watchRun(runId)
    void watchAll(watch, (event) => setEvents((known) => [...known, event]))
    return () => void watch.return()
  }, [client, runId])
  useEffect(() => {
    page.seen = events.map(({ seq }) => seq)
    page.over = events.some(({ type }) => type === 'RUN_COMPLETED')
  }, [events])
  return createElement('p', null, `${events.length} events`)
}

Object.assign(page, {
  ready: true,
  seen: [],
  over: false,
  retries: 0,
  effects: 0,
  sockets: () => sockets.filter(({ readyState }) => readyState !== WebSocket.CLOSED).length,
  cut: () => sockets.forEach((socket) => socket.close()),
  start: async (options) => {
    const { runId } = await clientOf(options).runWorkflow({ workflowId: 'pipeline', input: { topic: 'tea' } })
    page.follow(options, runId)
    return runId
  },
  follow: (options, runId) => {
    const watch = clientOf(options).watchRun(runId)
    void watchAll(watch, ({ seq }) => page.seen.push(seq)).then(() => {
      page.over = true
    })
  },
  show: (options, runId) => {
    const run = createElement(Run, { options, runId })
    createRoot(page.document.body.appendChild(page.document.createElement('main'))).render(
      createElement(StrictMode, null, run),
    )
  },
} satisfies Omit<Driven, 'document'>)
