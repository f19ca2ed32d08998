import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { createGunzip, gzip } from 'node:zlib'
import type { Workflows } from '../engine/api.ts'
import { exampleTabs } from './examples.ts'
import { GRAPHQL_PATH } from './graphql.ts'

const compress = promisify(gzip)

/** GraphiQL for a browser. Everything is in the page: it asks no other server for anything. */
export interface GraphiQLPage {
  send(req: IncomingMessage, res: ServerResponse): Promise<void>
}

interface Page {
  readonly etag: string
  readonly gzipped: Buffer
}

/**
 * What the page may do. The editor starts its workers from blobs and puts styles into the page; connections go to this
 * server only.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'unsafe-inline' blob:",
  'worker-src blob:',
  "style-src 'unsafe-inline'",
  'img-src data:',
  'font-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/**
 * The tabs come in with an animation that never ends, as the package's own style lets no tab move unless it has the focus.
 * At the first press a tab would jump to where the animation is, away from under the pointer: it would not be clicked.
 */
const STYLE = '<style>.graphiql-tab { transform: none !important }</style>'

/**
 * Each visit begins with one query, and GraphiQL adds a tab for it unless a tab has it already. After the first visit
 * there is no query yet, and after one that was edited there is that of the address beside the variables of another tab.
 * What is saved as the open tab is therefore made the query to begin with, unless the address has one that is new here.
 */
const REOPEN = `<script>
  try {
    const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem('graphiql:tabState'))
    const address = new URL(location.href)
    const query = address.searchParams.get('query')
    if (query === null || tabs.some((tab) => tab.query === query)) {
      for (const name of ['query', 'variables', 'headers']) {
        const saved = tabs[activeTabIndex][name]
        if (typeof saved === 'string') localStorage.setItem('graphiql:' + name, saved)
        else localStorage.removeItem('graphiql:' + name)
      }
      address.searchParams.delete('query')
      history.replaceState({}, '', address)
    }
  } catch {
    // Nothing is saved, or nothing may be.
  }
</script>`

/** Makes the page when it is first asked for: loading its 9 MB and compressing them takes a quarter of a second. */
export function createGraphiQL(workflows: Workflows): GraphiQLPage {
  let making: Promise<Page> | undefined
  return {
    send: async (req, res) => {
      making ??= makePage(workflows)
      const { etag, gzipped } = await making
      res.setHeader('Content-Type', 'text/html; charset=utf-8')
      res.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY)
      res.setHeader('ETag', etag)
      res.setHeader('Cache-Control', 'no-cache')
      res.setHeader('Vary', 'Accept, Accept-Encoding')
      if (req.headers['if-none-match'] === etag) {
        res.writeHead(304).end()
        return
      }
      const accepted = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(String(req.headers['accept-encoding'] ?? ''))
      if (accepted) res.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': gzipped.length })
      else res.writeHead(200)
      if (req.method === 'HEAD') res.end()
      else if (accepted) res.end(gzipped)
      else await pipeline(Readable.from([gzipped]), createGunzip(), res)
    },
  }
}

async function makePage(workflows: Workflows): Promise<Page> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const rendered = renderGraphiQL({
    title: 'Kern GraphiQL',
    endpoint: GRAPHQL_PATH,
    // Browsers open at most six connections to a server; over SSE six open tabs would take them all.
    subscriptionsProtocol: 'WS',
    defaultTabs: exampleTabs(workflows.list()),
  })
  const html = rendered.replace('</head>', `${STYLE}${REOPEN}</head>`)
  // Weak: the same page is sent compressed and not.
  const etag = `W/"${createHash('sha256').update(html).digest('base64url').slice(0, 22)}"`
  return { etag, gzipped: await compress(html, { level: 6 }) }
}
