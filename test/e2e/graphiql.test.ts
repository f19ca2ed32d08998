import { openAsBlob } from 'node:fs'
import { parse, validate } from 'graphql'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { createSchema } from '../../schema/index.ts'
import { pglite } from '../../src/config.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { exampleTabs } from '../../src/server/examples.ts'
import { findChromium, recordRequests, startBrowser } from '../support/browser.ts'
import { all, data, serve, type Served, watchWebSocket } from '../support/server.ts'
import { createFlows } from './flows.ts'

const flows = createFlows()
const chromium = findChromium()
if (chromium === null) {
  process.stdout.write('NOT RUN: GraphiQL in a browser, as no Chromium was found; set CHROMIUM to the path of one\n')
}

let database: Database
let served: Served

beforeAll(async () => {
  database = await openDatabase(pglite.memory(), { image: await openAsBlob(inject('image')), migrate: false })
  // The examples are made for the workflow with most steps, by id the first of these two.
  const workflows = flows.workflows.filter(({ definition }) => ['pipeline', 'stages'].includes(definition.id))
  served = await serve(database, { workflows })
})

afterAll(async () => {
  await served.close()
  await database.close()
})

const runPipeline = (topic: string) =>
  data(
    served,
    `mutation ($topic: String!) { runWorkflow(input: { workflowId: "pipeline", input: { topic: $topic }, waitMs: 10000 }) { __typename } }`,
    { topic },
  )

describe('the operations that GraphiQL opens with', () => {
  test('fit the schema, and do what they say when they are run as they stand, one after another', async () => {
    const tabs = exampleTabs(served.kern.workflows.list())
    const answers: unknown[] = []
    for (const { query, variables } of tabs) {
      expect(validate(createSchema(), parse(query))).toEqual([])
      const asked = { query, variables: JSON.parse(variables ?? '{}') }
      if (query.includes('subscription ')) {
        const first = watchWebSocket(served, asked).next()
        let seen = false
        void first.then(() => {
          seen = true
        })
        while (!seen) await runPipeline('tea')
        answers.push((await first).value)
      } else answers.push(...(await all(watchWebSocket(served, asked))))
    }
    expect(JSON.stringify(answers)).not.toContain('"errors"')
    expect(answers).toMatchObject([
      { data: { workflows: [{ workflowId: 'pipeline' }, { workflowId: 'stages' }] } },
      // Of whichever run was under way.
      { data: { stepCompleted: { step: { path: expect.stringMatching(/^(research|analyse|write)$/) } } } },
      { data: { runWorkflow: { run: { status: 'COMPLETED' } } } },
      { data: { setSessionName: { session: { nameSource: 'GENERATED' } } } },
      { data: { session: { runCount: 1, historyContext: expect.any(String) } } },
    ])
  })
})

describe.skipIf(chromium === null)('GraphiQL in Chromium', () => {
  let browser: Browser
  let page: Page
  let requests: string[] = []
  const faults: string[] = []

  beforeAll(async () => {
    browser = await startBrowser(chromium ?? '')
    page = await browser.newPage()
    requests = recordRequests(page)
    page.on('pageerror', (error) => faults.push(error.message))
    // What the page was not allowed to ask for is no request, but it is told here.
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text())
    })
    await page.goto(served.url)
    await page.locator('.graphiql-query-editor .view-line').first().waitFor()
  })

  afterAll(() => browser?.close())

  /** Puts a named operation into the editor, as if it were pasted. */
  async function write(text: string): Promise<void> {
    await page.locator('.graphiql-query-editor .view-lines').first().click()
    await page.keyboard.press('Control+A')
    await page.keyboard.insertText(text)
    // The page reads what was written a moment later, and until then runs the operation that was there.
    const name = /^\w+ (\w+)/.exec(text)?.[1] ?? ''
    await page.locator('.graphiql-tab-active', { hasText: name }).waitFor()
  }

  const run = () => page.locator('button.graphiql-execute-button').click()

  /** What the pane of the response shows, with the blanks of the editor made plain. */
  async function response(): Promise<string> {
    const text = await page.locator('.graphiql-response .view-lines').first().innerText()
    return text.replaceAll('\u00a0', ' ')
  }

  const responseWith = (part: string) => expect.poll(response, { timeout: 10_000 }).toContain(part)

  test('shows the saved examples, each in a tab', async () => {
    const tabs = page.locator('.graphiql-tab')
    await expect.poll(() => tabs.count()).toBe(exampleTabs([]).length)
    const titles = (await tabs.allInnerTexts()).map((title) => title.trim())
    expect(titles).toEqual(['ListWorkflows', 'WatchSteps', 'RunWorkflow', 'NameSession', 'ReadSession'])
  })

  test('opens an example at the first click, and has the same tabs and the same one open after a reload', async () => {
    // A context of its own is a browser that was never here.
    const visit = await browser.newContext()
    const fresh = await visit.newPage()
    await fresh.goto(served.url)
    const tabs = fresh.locator('.graphiql-tab')
    const editor = fresh.locator('.graphiql-query-editor .view-lines').first()
    await expect.poll(() => editor.innerText()).toContain('ListWorkflows')
    await tabs.filter({ hasText: 'RunWorkflow' }).click()
    await expect.poll(() => editor.innerText()).toContain('RunWorkflow')
    const saved = async () =>
      JSON.parse(String(await fresh.evaluate('localStorage.getItem("graphiql:tabState")'))) as unknown
    const titles = await tabs.allInnerTexts()
    expect(titles).toHaveLength(exampleTabs([]).length)
    for (const open of ['RunWorkflow', 'ReadSession']) {
      await tabs.filter({ hasText: open }).click()
      await expect.poll(() => editor.innerText()).toContain(open)
      // The page saves which tab is open a moment later.
      await expect.poll(saved).toMatchObject({ activeTabIndex: titles.indexOf(open) })
      await fresh.reload()
      await expect.poll(() => editor.innerText()).toContain(open)
      expect(await tabs.allInnerTexts()).toEqual(titles)
    }
    // An edited query is also in the address, where it stays when another tab is opened.
    await editor.click()
    await fresh.keyboard.press('Control+End')
    await fresh.keyboard.insertText('# edited')
    await expect.poll(() => decodeURIComponent(fresh.url())).toContain('edited')
    await tabs.filter({ hasText: 'NameSession' }).click()
    await expect.poll(saved).toMatchObject({ activeTabIndex: titles.indexOf('NameSession') })
    await fresh.reload()
    await expect.poll(() => editor.innerText()).toContain('NameSession')
    expect(await tabs.allInnerTexts()).toEqual(titles)
    await visit.close()
  })

  test('shows the documentation of the schema', async () => {
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click()
    const docs = page.locator('.graphiql-doc-explorer')
    await docs.getByText('Mutation', { exact: true }).first().click()
    await docs.getByText('Names a session, by hand or by itself.').waitFor()
  })

  test('runs a query', async () => {
    await write('query Names { workflows { workflowId } }')
    await run()
    await responseWith('"workflowId": "pipeline"')
  })

  test('shows the steps of a subscription one after another, over a WebSocket', async () => {
    await data(
      served,
      'mutation { createSession(input: { workflowId: "stages", sessionId: "watched" }) { __typename } }',
    )
    await write('subscription Steps { stepCompleted(sessionId: "watched") { type step { path } } }')
    await run()
    await data(served, 'mutation { runWorkflow(input: { workflowId: "stages", sessionId: "watched" }) { __typename } }')
    for (const path of ['one', 'two', 'three']) {
      flows.door(path).open()
      await responseWith(`"path": "${path}"`)
      await responseWith('"type": "STEP_COMPLETED"')
    }
    expect(requests).toContain(served.url.replace('http', 'ws'))
  })

  test('asked nobody but this server for anything, and no script failed', async () => {
    const { host } = new URL(served.url)
    expect(requests.length).toBeGreaterThan(2)
    const elsewhere = requests.filter((url) => !/^(data|blob):/.test(url) && new URL(url).host !== host)
    expect(elsewhere).toEqual([])
    expect(faults).toEqual([])
  })
})
