import { openAsBlob } from 'node:fs'
import { getIntrospectionQuery } from 'graphql'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { pglite } from '../../src/config.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import {
  all,
  type Answer,
  ask,
  type Asked,
  data,
  serve,
  type Served,
  watchSse,
  watchWebSocket,
} from '../support/server.ts'
import { createFlows } from './flows.ts'

let database: Database
let served: Served

beforeAll(async () => {
  database = await openDatabase(pglite.memory(), { image: await openAsBlob(inject('image')), migrate: false })
  served = await serve(database, { workflows: createFlows().workflows })
  await data(
    served,
    `mutation { runWorkflow(input: { workflowId: "pipeline", sessionId: "limits", input: { topic: "tea" }, waitMs: 10000 })
      { __typename } }`,
  )
})

afterAll(async () => {
  await served.close()
  await database.close()
})

/** The inner text, inside the outer one a number of times, where the outer text has a dot. */
function wrapped(outer: string, times: number, inner: string): string {
  return times === 0 ? inner : outer.replace('.', wrapped(outer, times - 1, inner))
}

/** What is selected of a run, so many levels deep. */
const levels = (count: number) =>
  `{ run(runId: "x") ${wrapped('{ session { lastRun . } }', (count - 2) / 2, '{ runId }')} }`

const bombOf = (field: string) => {
  const fragments = Array.from({ length: 200 }, (_, at) => `fragment f${at} on Query { ...f${at + 1} ...f${at + 1} }`)
  return `{ ...f0 } ${fragments.join(' ')} fragment f200 on Query { ${field} }`
}

const TRANSPORTS: [string, (asked: Asked) => Promise<Answer[]>][] = [
  ['HTTP', async ({ query, variables }) => [await ask(served, query, variables)]],
  ['SSE', (asked) => all(watchSse(served, asked))],
  ['WebSocket', (asked) => all(watchWebSocket(served, asked))],
]

describe.each(TRANSPORTS)('over %s', (_name, send) => {
  const refusal = async (query: string, variables: Record<string, unknown> = {}) => {
    const answers = await send({ query, variables })
    expect(answers).toMatchObject([{ errors: [{ extensions: { code: 'LIMIT_EXCEEDED', limit: expect.any(Number) } }] }])
    expect(answers[0]?.data ?? null).toBeNull()
    return answers[0]?.errors?.[0]?.message
  }
  const accepted = async (query: string, variables: Record<string, unknown> = {}) => {
    const answers = await send({ query, variables })
    expect(answers).toHaveLength(1)
    expect(answers[0]?.errors).toBeUndefined()
    return answers[0]?.data
  }

  test('a few bytes that unfold to millions of runs are refused', async () => {
    const query = `{ sessions { nodes ${wrapped('{ runs { nodes { session . } } }', 5, '{ sessionId }')} } }`
    expect(query.length).toBeLessThan(200)
    expect(await refusal(query)).toBe('The operation selects fields 18 levels deep: allowed are 15')
  })

  test('a query that is deep but of good sense is answered', async () => {
    const query = `{ sessions { nodes { sessionId runs(last: 10) { edges { node { steps { path attempts { error { message } } } } } } } } }`
    expect(await accepted(query)).toMatchObject({
      sessions: { nodes: [{ runs: { edges: [{ node: { steps: [{ path: 'research' }, {}, {}] } }] } }] },
    })
  })

  test('the introspection of the whole schema is answered', async () => {
    const query = getIntrospectionQuery({ descriptions: true, inputValueDeprecation: true, oneOf: true })
    expect(await accepted(query)).toHaveProperty('__schema')
    expect(
      await accepted(
        `{ ...all } fragment all on Query { __type(name: "Run") ${wrapped('{ ofType . }', 20, '{ name }')} }`,
      ),
    ).toEqual({
      __type: { ofType: null },
    })
  })

  test('15 levels are allowed, and 16 are not, also where fragments share them', async () => {
    expect(await accepted(levels(14))).toEqual({ run: null })
    const [outer, inner] = [
      'fragment outer on Run { session { lastRun { ...inner } } }',
      'fragment inner on Run { ... on Run { ... {',
    ]
    const spread = (deep: string) => `{ run(runId: "x") { ...outer } } ${outer} ${inner} ${deep} } } }`
    const twelve = (leaf: string) => wrapped('session { lastRun { . } }', 5, leaf)
    expect(await accepted(spread(twelve('session { sessionId }')))).toEqual({ run: null })
    expect(await refusal(spread(twelve('session { workflow { name } }')))).toBe(
      'The operation selects fields 16 levels deep: allowed are 15',
    )
  })

  test('10,000 nodes are allowed, and more are not, whoever says how many', async () => {
    const query = `query ($a: Int = 100, $b: Int) { sessions(first: $a) { nodes { runs(last: $b) { nodes { number } } } } }`
    await accepted(query, { b: 100 })
    await accepted(query)
    const deeper = query.replace('number', 'events(first: 2) { nodes { seq } }')
    await accepted(deeper, { a: 50, b: 100 })
    expect(await refusal(deeper, { a: 51, b: 100 })).toContain('up to 10200 nodes')
    // The document is the one that was refused before.
    await accepted(deeper, { a: 5, b: 5 })
    expect(await refusal(deeper, { b: 100 })).toContain('up to 20000 nodes')
  })

  test('nodes under several names are counted together', async () => {
    const pages = (count: number) =>
      Array.from({ length: count }, (_, at) => `a${at}: runs { nodes { number } }`).join(' ')
    await accepted(`{ session(sessionId: "limits") { ${pages(500)} } }`)
    expect(await refusal(`{ session(sessionId: "limits") { ${pages(501)} } }`)).toContain('up to 10020 nodes')
  })

  test('lists without pages are refused when they hold themselves over and over', async () => {
    await accepted(`{ runs(first: 1) { nodes ${wrapped('{ steps { run . } }', 3, '{ number }')} } }`)
    expect(await refusal(`{ runs(first: 2) { nodes ${wrapped('{ steps { run . } }', 3, '{ number }')} } }`)).toContain(
      'up to',
    )
    expect(await refusal(`{ runs { nodes ${wrapped('{ historyRuns . }', 12, '{ number }')} } }`)).toContain('up to')
  })

  test('lists without pages count as pages where they hold pages', async () => {
    const query = (size: number) =>
      `{ workflows { runs(first: ${size}) { nodes { steps { run { events(first: 5) { nodes { seq } } } } } } } }`
    await accepted(query(5))
    expect(await refusal(query(6))).toContain('up to 12000 nodes')
  })

  test('500 fields at the root are allowed, and 501 are not, also where a fragment has them', async () => {
    const names = (count: number) => Array.from({ length: count }, (_, at) => `a${at}: __typename`).join(' ')
    await accepted(`{ ${names(500)} }`)
    const message = 'The operation has 501 fields at its root, aliases included: allowed are 500'
    expect(await refusal(`{ ${names(501)} }`)).toBe(message)
    expect(await refusal(`{ ...f __typename } fragment f on Query { ${names(500)} }`)).toBe(message)
  })

  test('fragments that double 200 times are refused without being unfolded', async () => {
    expect(await refusal(bombOf('__typename'))).toContain('fields at its root')
    const inside = `{ session(sessionId: "limits") { ...f0 } } ${bombOf('runs { nodes { number } }').replaceAll('Query', 'Session').slice(10)}`
    expect(await refusal(inside)).toContain('nodes')
  })

  test('fragments that spread each other in a circle are refused as such', async () => {
    const answers = await send({
      query: '{ ...a } fragment a on Query { ...b } fragment b on Query { ...a __typename }',
    })
    expect(answers).toMatchObject([{ errors: [{ message: expect.stringContaining('Cannot spread fragment "a"') }] }])
  })
})

test('a subscription that asks too much of each event is refused before it starts', async () => {
  const query = `subscription { stepCompleted(sessionId: "limits") { run { session ${wrapped('{ runs(first: 100) { nodes { session . } } }', 3, '{ name }')} } } }`
  for (const watch of [watchSse, watchWebSocket]) {
    const answers = await all(watch(served, { query }))
    expect(answers).toMatchObject([
      { errors: [{ message: expect.stringContaining('nodes'), extensions: { code: 'LIMIT_EXCEEDED' } }] },
    ])
  }
})

test('over HTTP what is too large is a bad request', async () => {
  const statuses = [
    `{ sessions(first: 100) { nodes { runs(first: 100) { nodes { events { nodes { seq } } } } } } }`,
    levels(16),
  ].map(async (query) => {
    const headers = { 'content-type': 'application/json', accept: 'application/graphql-response+json' }
    return (await fetch(served.url, { method: 'POST', headers, body: JSON.stringify({ query }) })).status
  })
  expect(await Promise.all(statuses)).toEqual([400, 400])
})
