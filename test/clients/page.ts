import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { build, preview } from 'vite'

const root = join(import.meta.dirname, '../../examples/clients')
const base = { configFile: join(root, 'vite.config.ts'), configLoader: 'native', logLevel: 'silent' } as const

/** Bundled pages, in a folder of their own. */
export interface Pages extends AsyncDisposable {
  /**
   * Serves the pages, and GraphQL as it is somewhere else.
   *
   * @param target where GraphQL is, such as `http://127.0.0.1:4000`
   */
  serve(target: string): Promise<ServedPages>
}

export interface ServedPages extends AsyncDisposable {
  /** Such as `http://127.0.0.1:40000`. */
  readonly url: string
}

/** Bundles pages of `examples/clients` as they are in development: there StrictMode mounts everything twice. */
export async function bundle(names: readonly string[]): Promise<Pages> {
  const outDir = await mkdtemp(join(tmpdir(), 'kern-pages-'))
  const input = names.map((name) => join(root, name, 'index.html'))
  await build({
    ...base,
    define: { 'process.env.NODE_ENV': '"development"' },
    build: { outDir, minify: false, rolldownOptions: { input } },
  })
  return {
    serve: async (target) => {
      const proxy = { '/graphql': { target, ws: true } }
      const server = await preview({ ...base, build: { outDir }, preview: { host: '127.0.0.1', port: 0, proxy } })
      const address = server.httpServer.address()
      return {
        url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : address}`,
        [Symbol.asyncDispose]: () => server.close(),
      }
    },
    [Symbol.asyncDispose]: () => rm(outDir, { recursive: true }),
  }
}

/** A message of graphql-ws, as far as these tests look into it. */
export interface Frame {
  readonly sent: boolean
  /** Which of the page's WebSockets it went over, from 0. */
  readonly socket: number
  readonly id?: string
  readonly type: string
  readonly payload?: {
    readonly query?: string
    readonly variables?: { readonly after?: string }
    readonly data?: Record<string, { readonly seq?: number; readonly cursor?: string; readonly type?: string }>
  }
}

/** A page in a browser, with what it asked for and what went wrong in it. */
export interface Watched {
  readonly page: Page
  /** The operations that were sent over HTTP, such as `query ReadRun`. */
  readonly asked: string[]
  /** What went over WebSockets. */
  readonly frames: Frame[]
  /** Exceptions, and what libraries complain of in the console. */
  readonly faults: string[]
  /** What else the console was told. */
  readonly said: string[]
}

/** Opens a page, and notes down what it does. */
export async function open(browser: Browser, url: string): Promise<Watched> {
  const page = await browser.newPage()
  const watched: Watched = { page, asked: [], frames: [], faults: [], said: [] }
  page.on('pageerror', (error) => watched.faults.push(error.message))
  page.on('console', (message) => {
    // A connection that is refused is told in the console, whoever expects it.
    const isFault = /^(error|warning)$/.test(message.type()) && !message.text().includes('WebSocket connection to')
    const list = isFault ? watched.faults : watched.said
    list.push(message.text())
  })
  page.on('request', (request) => {
    const body = request.method() === 'POST' ? request.postDataJSON() : undefined
    if (body) watched.asked.push(String(/^\s*(\w+ \w+)/m.exec(body.query)?.[1]))
  })
  let sockets = 0
  page.on('websocket', (socket) => {
    const number = sockets++
    const note = (sent: boolean) => (frame: { payload: string | Buffer }) =>
      watched.frames.push({ ...JSON.parse(String(frame.payload)), sent, socket: number })
    socket.on('framesent', note(true))
    socket.on('framereceived', note(false))
  })
  await page.goto(url)
  return watched
}
