import { openAsBlob } from 'node:fs'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { pglite } from '../../src/config.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { createFlows } from '../e2e/flows.ts'
import { findChromium, startBrowser } from '../support/browser.ts'
import { type Proxy, startProxy } from '../support/proxy.ts'
import { data, serve, type Served } from '../support/server.ts'
import { bundle, open, type Pages, type ServedPages, type Watched } from './page.ts'

/** The pages, and what they call the only operations that they may send over HTTP. */
const CLIENTS = [
  { name: 'apollo', start: 'mutation StartRun', read: 'query ReadRun', list: 'query ReadRuns' },
  { name: 'urql', start: 'mutation StartRun', read: 'query ReadRun', list: 'query ReadRuns' },
  {
    name: 'relay',
    start: 'mutation mainStartMutation',
    read: 'query RunPageReadQuery',
    list: 'query RunListReadQuery',
  },
]

/** What depends on a browser and a server may take a while on a busy machine. */
const SOON = { timeout: 15_000 }

const chromium = findChromium()
if (chromium === null) {
  process.stdout.write('NOT RUN: the clients in a browser, as no Chromium was found; set CHROMIUM to the path of one\n')
}

describe.skipIf(chromium === null)('in Chromium', () => {
  let browser: Browser
  let pages: Pages
  beforeAll(async () => {
    browser = await startBrowser(chromium ?? '')
    pages = await bundle(CLIENTS.map(({ name }) => name))
  })
  afterAll(async () => {
    await browser?.close()
    await pages?.[Symbol.asyncDispose]()
  })

  describe.each(CLIENTS)('the page by $name', ({ name, start, read, list }) => {
    const flows = createFlows()
    let database: Database
    let served: Served
    let proxy: Proxy
    let site: ServedPages
    let watched: Watched

    beforeAll(async () => {
      database = await openDatabase(pglite.memory(), { image: await openAsBlob(inject('image')), migrate: false })
      served = await serve(database, { workflows: flows.workflows })
      proxy = await startProxy({ host: '127.0.0.1', port: Number(new URL(served.url).port) })
      site = await pages.serve(`http://127.0.0.1:${proxy.port}`)
      watched = await open(browser, `${site.url}/${name}/`)
    })
    afterAll(async () => {
      await watched?.page.close()
      await site?.[Symbol.asyncDispose]()
      await proxy?.[Symbol.asyncDispose]()
      await served.close()
      await database.close()
    })

    const shown = (part: string) => expect.poll(() => watched.page.locator(part).allInnerTexts(), SOON)
    const steps = () => shown('section li')
    const status = () => shown('section output')

    test('follows a run to its end over a connection that is cut, and reads it once', async () => {
      const { page, asked, frames } = watched
      await expect.poll(() => asked, SOON).toEqual([list])
      await page.getByLabel('Workflow').fill('stages')
      await page.getByLabel('Input').fill('null')
      await page.getByRole('button', { name: 'Run' }).click()
      await steps().toEqual(['one RUNNING'])
      flows.door('one').open()
      await steps().toEqual(['one COMPLETED one', 'two RUNNING'])

      proxy.refuse(true)
      proxy.reset()
      flows.door('two').open()
      await flows.door('three').reached
      proxy.refuse(false)
      await steps().toEqual(['one COMPLETED one', 'two COMPLETED two', 'three RUNNING'])
      flows.door('three').open()
      await steps().toEqual(['one COMPLETED one', 'two COMPLETED two', 'three COMPLETED three'])
      await status().toEqual(['COMPLETED'])

      // The list has no cursor, so it is read on each connection.
      await expect.poll(() => asked, SOON).toEqual([list, start, read, list])
      const events = frames.flatMap(({ socket, payload }) => {
        const event = payload?.data?.['runEvents']
        return event ? [{ ...event, socket }] : []
      })
      const first = events[0]?.seq ?? 0
      expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, index) => first + index))
      expect(events.at(-1)?.type).toBe('RUN_COMPLETED')
      const before = events.findLast(({ socket }) => socket === events[0]?.socket)
      const again = frames.findLast(({ type, payload }) => type === 'subscribe' && payload?.variables?.after)
      expect(again?.payload?.variables?.after).toBe(before?.cursor)
    })

    test('keeps a list right that others change, and shows a run of it, without reading the list again', async () => {
      const { page, asked } = watched
      const lines = () => shown('nav li')
      await lines().toEqual([])
      const before = asked.length
      const door = { door: 'middle' }
      const started = `mutation ($door: JSON) { runWorkflow(input: { workflowId: "held", input: $door }) { ... on RunPayload { run { runId } } } }`
      const { runWorkflow } = await data<{ runWorkflow: { run: { runId: string } } }>(served, started, { door })
      const line = `Held ${runWorkflow.run.runId}`
      await lines().toEqual([`${line} RUNNING`])

      await page.getByRole('button', { name: line }).click()
      await steps().toEqual(['before COMPLETED {"door":"middle"}', 'wait RUNNING'])
      flows.door('middle').open()
      await status().toEqual(['COMPLETED'])
      await lines().toEqual([])
      expect(asked.slice(before)).toEqual([read])
    })

    test('has nothing to complain of in the console, though StrictMode mounts everything twice', () => {
      expect(watched.faults).toEqual([])
      // What React says in development only, as which alone StrictMode does anything.
      expect(watched.said.join()).toContain('React DevTools')
    })
  })
})
