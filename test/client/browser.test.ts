import { openAsBlob } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { pglite } from '../../src/config.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { createFlows } from '../e2e/flows.ts'
import { findChromium, recordRequests, startBrowser } from '../support/browser.ts'
import { serve, type Served } from '../support/server.ts'
import { bundle } from './bundle.ts'
import { createClient, type PlainProxy, startPlainProxy, storedEvents } from './support.ts'

const flows = createFlows()
const chromium = findChromium()
if (chromium === null) {
  process.stdout.write('NOT RUN: the client in a browser, as no Chromium was found; set CHROMIUM to the path of one\n')
}

describe.skipIf(chromium === null)('in Chromium', () => {
  let database: Database
  let served: Served
  let browser: Browser
  let script: string

  beforeAll(async () => {
    database = await openDatabase(pglite.memory(), { image: await openAsBlob(inject('image')), migrate: false })
    served = await serve(database, flows)
    browser = await startBrowser(chromium ?? '')
    script = (await bundle('test/client/page.ts')).code
  })

  afterAll(async () => {
    await browser.close()
    await served.close()
    await database.close()
  })

  let names = 0
  /** A run that is held at a door of its own, and has got there. */
  async function startHeld() {
    const name = `door of a page ${++names}`
    const door = flows.door(name)
    const run = await createClient({ url: served.url }).runWorkflow({ workflowId: 'held', input: { door: name } })
    await door.reached
    return { ...run, door }
  }

  /** A page of the server's own origin with the script in it, and all that it asked for. */
  async function open(url: string): Promise<{ page: Page; urls: string[]; faults: string[] }> {
    const page = await browser.newPage()
    const urls = recordRequests(page)
    const faults: string[] = []
    page.on('pageerror', (error) => faults.push(error.message))
    page.on('console', (message) => {
      const asked = message.location().url
      if (['error', 'warning'].includes(message.type()) && !asked.endsWith('/favicon.ico')) faults.push(message.text())
    })
    // Whatever the server has there: browsers let no page of nowhere connect to an address of this machine.
    await page.goto(new URL('/health/live', url).href)
    await page.addScriptTag({ content: script, type: 'module' })
    await page.waitForFunction('globalThis.ready')
    return { page, urls, faults }
  }

  /** The numbers of the events that a page shows. */
  const shown = async (page: Page): Promise<number[]> =>
    JSON.parse(String(await page.evaluate('JSON.stringify(globalThis.seen)')))

  const stored = async (runId: string) => (await storedEvents(served.url, runId)).map(({ seq }) => seq)

  test('a page starts a run and follows it, over a WebSocket', async () => {
    const { page, urls, faults } = await open(served.url)
    const runId = String(await page.evaluate('start({ url: "/graphql" })'))
    await page.waitForFunction('globalThis.over')
    expect(await shown(page)).toEqual(await stored(runId))
    expect(urls).toContain(served.url.replace('http', 'ws'))
    expect(faults).toEqual([])
    await page.close()
  })

  test('a page behind a proxy without WebSockets follows a run over HTTP', async () => {
    await using proxy: PlainProxy = await startPlainProxy(served.url, 'refuse')
    const { page } = await open(proxy.url)
    const run = await startHeld()
    await page.evaluate(`follow({ url: "/graphql", retryMs: 50 }, "${run.runId}")`)
    await expect.poll(() => proxy.open, { timeout: 10_000 }).toBe(1)
    run.door.open()
    await page.waitForFunction('globalThis.over')
    expect(await shown(page)).toEqual(await stored(run.runId))
    expect(proxy.upgrades).toBeGreaterThanOrEqual(2)
    await page.close()
    await expect.poll(() => proxy.open, { timeout: 10_000 }).toBe(0)
  })

  test('a page that was offline goes on at once when it is online again, without a gap', async () => {
    const { page } = await open(served.url)
    const run = await startHeld()
    // Nothing but the browser saying so ends this wait in time.
    await page.evaluate(`follow({ url: "/graphql", retryMs: 2 ** 30, maxRetryMs: 2 ** 30 }, "${run.runId}")`)
    await page.waitForFunction('globalThis.seen.length > 0')
    await page.evaluate('cut()')
    await page.waitForFunction('globalThis.retries > 0')
    await page.context().setOffline(true)
    run.door.open()
    await page.context().setOffline(false)
    await page.waitForFunction('globalThis.over')
    expect(await shown(page)).toEqual(await stored(run.runId))
    await page.close()
  })

  test.each(['ws', 'sse'])(
    'under StrictMode of React, which subscribes twice, a page shows each event once over %s and leaves nothing open',
    async (transport) => {
      await using proxy: PlainProxy = await startPlainProxy(served.url, 'refuse')
      proxy.allow(true)
      const { page, urls, faults } = await open(proxy.url)
      const run = await startHeld()
      await page.evaluate(`show({ url: "/graphql", transport: "${transport}" }, "${run.runId}")`)
      await page.waitForFunction('globalThis.seen.length > 2')
      expect(await page.evaluate('globalThis.effects')).toBe(2)
      run.door.open()
      await page.waitForFunction('globalThis.over')
      expect(await shown(page)).toEqual(await stored(run.runId))
      expect(faults).toEqual([])
      const sockets = urls.filter((url) => url.startsWith('ws'))
      expect(sockets).toHaveLength(transport === 'ws' ? 1 : 0)
      await expect.poll(() => page.evaluate('globalThis.sockets()'), { timeout: 10_000 }).toBe(0)
      await expect.poll(() => proxy.open, { timeout: 10_000 }).toBe(0)
      await page.close()
    },
  )
})
