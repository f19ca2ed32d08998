import { request } from 'node:http'
import { connect } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { serverAudits } from 'graphql-http'
import { describe, expect, test } from 'vitest'
import { post, startTiny, type Tiny } from './tiny.ts'

test('every audit of GraphQL over HTTP passes', async () => {
  await using tiny = await startTiny()
  const audits = serverAudits({ url: `${tiny.server.url}/graphql` })
  expect(audits.length).toBeGreaterThan(60)
  const results = await Promise.all(audits.map((audit) => audit.fn()))
  const failed = results.filter(({ status }) => status !== 'ok')
  expect(failed.map((result) => `${result.name}: ${'reason' in result ? result.reason : ''}`)).toEqual([])
})

describe('what pages of other origins can send without asking first is refused', () => {
  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonp',
  ])('a body of the type %s', async (type) => {
    await using tiny = await startTiny()
    const response = await post(tiny.server, 'query=mutation{touch}', { 'content-type': type })
    expect(response.status).toBe(415)
    expect(await response.text()).not.toContain('touched')
  })

  test('a mutation over GET', async () => {
    await using tiny = await startTiny()
    const response = await fetch(`${tiny.server.url}/graphql?query=${encodeURIComponent('mutation { touch }')}`)
    expect(response.status).toBe(405)
    expect(await response.text()).not.toContain('touched')
  })

  test('no other origin is allowed to read, unless it is named', async () => {
    const headers = { origin: 'https://example.com' }
    {
      await using tiny = await startTiny()
      const response = await post(tiny.server, { query: '{ hello }' }, headers)
      expect(response.headers.get('access-control-allow-origin')).toBeNull()
    }
    await using several = await startTiny({ allowedOrigins: ['https://example.com', 'https://example.org'] })
    for (const [origin, named] of [
      ['null', null],
      ['https://other.example', null],
      ['https://example.org', 'https://example.org'],
    ] as const) {
      const answer = await fetch(`${several.server.url}/graphql`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST' },
      })
      expect([origin, answer.headers.get('access-control-allow-origin')]).toEqual([origin, named])
    }
    await using tiny = await startTiny({ allowedOrigins: ['https://example.com'] })
    const response = await post(tiny.server, { query: '{ hello }' }, headers)
    expect(response.headers.get('access-control-allow-origin')).toBe('https://example.com')
  })
})

describe('the host of a request', () => {
  const paths = ['/graphql?query={hello}', '/health/live', '/']
  const foreign = ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:80', 'localhost:80.evil.example']

  /** The status and body that a request to a path is answered with, when its host is this one. */
  async function sent({ server }: Tiny, path: string, host: string) {
    const { status, body } = await raw(server.url + path, { host, accept: 'application/json' })
    return { status, text: String(body) }
  }

  test.each(foreign)('%o is refused on a loopback address, at every path', async (host) => {
    for (const address of ['127.0.0.1', 'localhost']) {
      await using tiny = await startTiny({ host: address })
      for (const path of paths) {
        const { status, text } = await sent(tiny, path, host)
        const message = `The host is ${JSON.stringify(host)}: allowed are localhost, 127.0.0.1, [::1], with any port`
        expect(status).toBe(403)
        expect(JSON.parse(text)).toEqual({ errors: [{ message, extensions: { code: 'FORBIDDEN' } }] })
      }
    }
  })

  test('has to be named, also where the protocol does not ask for it', async () => {
    await using tiny = await startTiny()
    const socket = connect(Number(new URL(tiny.server.url).port), '127.0.0.1')
    socket.write('GET /health/live HTTP/1.0\r\n\r\n')
    expect(Buffer.concat(await socket.toArray()).toString()).toMatch(/^HTTP\/1.1 403 .*"FORBIDDEN"/s)
  })

  test('may be any name of the loopback address, with any port', async () => {
    await using tiny = await startTiny()
    for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1:3000', '[::1]', '[::1]:80']) {
      const { status, text } = await sent(tiny, '/graphql?query={hello}', host)
      expect([host, status, text]).toEqual([host, 200, '{"data":{"hello":"world"}}'])
    }
  })

  test('may be the loopback address that the server was told to listen on', async () => {
    await using tiny = await startTiny({ host: '127.0.0.2' })
    expect((await fetch(`${tiny.server.url}/health/live`)).status).toBe(200)
    expect((await sent(tiny, '/health/live', 'evil.example')).status).toBe(403)
  })

  test('may be any on an address that other machines reach', async () => {
    await using tiny = await startTiny({ host: '0.0.0.0' })
    expect((await sent(tiny, '/graphql?query={hello}', 'kern.example')).status).toBe(200)
  })
})

test('a list of operations is refused', async () => {
  await using tiny = await startTiny()
  const response = await post(tiny.server, [{ query: '{ hello }' }, { query: '{ hello }' }])
  expect(response.status).toBe(400)
  expect(await response.text()).toContain('"code":"BAD_REQUEST"')
})

test('no answer is multipart', async () => {
  await using tiny = await startTiny()
  const query = { query: '{ hello }' }
  expect((await post(tiny.server, query, { accept: 'multipart/mixed' })).status).toBe(406)
  const response = await post(tiny.server, query, { accept: 'multipart/mixed, application/json' })
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
})

describe('a body over the limit', () => {
  const query = { query: `{ hello } # ${'x'.repeat(2_000)}` }

  test('is refused with 413 by its announced length', async () => {
    await using tiny = await startTiny({ maxRequestBytes: 1_000 })
    const response = await post(tiny.server, query)
    expect(response.status).toBe(413)
    expect(await response.text()).toContain('"code":"REQUEST_ENTITY_TOO_LARGE"')
  })

  test('is refused with 413 while it arrives in pieces', async () => {
    await using tiny = await startTiny({ maxRequestBytes: 1_000 })
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
    const headers = { 'content-type': 'application/json' }
    const sent = request(`${tiny.server.url}/graphql`, { method: 'POST', headers }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    sent.on('error', reject)
    sent.write('{"query":"')
    sent.end(`${'x'.repeat(2_000)}"}`)
    expect(await promise).toBe(413)
  })
})

describe('health', () => {
  test('live and ready answer 200 while the database answers', async () => {
    await using tiny = await startTiny()
    for (const path of ['live', 'ready']) {
      const response = await fetch(`${tiny.server.url}/health/${path}`)
      expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }])
    }
  })

  test.each([
    ['says no', async () => false],
    ['throws', () => Promise.reject(new Error('connection refused'))],
  ])('ready answers 503 and live 200 when the database %s', async (_how, health) => {
    await using tiny = await startTiny()
    tiny.health = health
    expect((await fetch(`${tiny.server.url}/health/ready`)).status).toBe(503)
    expect((await fetch(`${tiny.server.url}/health/live`)).status).toBe(200)
  })
})

describe('other paths', () => {
  test('the root leads browsers to GraphQL', async () => {
    await using tiny = await startTiny()
    const response = await fetch(tiny.server.url, { redirect: 'manual' })
    expect([response.status, response.headers.get('location')]).toEqual([302, '/graphql'])
  })

  test.each(['/nothing', '/graphql/', '/graphql/nothing', '/health', '//', '/%00'])(
    '%s is not found, as JSON',
    async (path) => {
      await using tiny = await startTiny()
      const response = await fetch(tiny.server.url + path)
      expect(response.status).toBe(404)
      expect(await response.json()).toMatchObject({ code: 'NOT_FOUND' })
    },
  )

  test.each(['/', '/health/live', '/health/ready'])('%s can only be read', async (path) => {
    await using tiny = await startTiny()
    const response = await fetch(tiny.server.url + path, { method: 'POST' })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })
})

describe('GraphiQL', () => {
  test('is a page for browsers that may connect to its own server only', async () => {
    await using tiny = await startTiny()
    const response = await fetch(`${tiny.server.url}/graphql`, { headers: { accept: 'text/html' } })
    const policy = response.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("connect-src 'self'")
    expect(policy).not.toMatch(/https?:|\*/)
    const html = await response.text()
    expect(html).toContain('subscription WatchSteps')
    expect(html).toContain('"subscriptionsProtocol":"WS"')
    expect(html).not.toMatch(/<(?:script|link|img|iframe)[^>]+(?:src|href)\s*=\s*["']?(?:https?:)?\/\//i)
    expect(html).not.toMatch(/@import|url\(\s*["']?(?:https?:)?\/\//i)
  })

  test('is sent compressed, and not again to who has it', async () => {
    await using tiny = await startTiny()
    const headers = { accept: 'text/html', 'accept-encoding': 'gzip' }
    const { body, etag } = await raw(`${tiny.server.url}/graphql`, headers)
    expect(body.length).toBeLessThan(3_000_000)
    expect(gunzipSync(body).length).toBeGreaterThan(8_000_000)
    const plain = await raw(`${tiny.server.url}/graphql`, { accept: 'text/html', 'accept-encoding': 'gzip;q=0' })
    expect(plain.body.equals(gunzipSync(body))).toBe(true)
    const again = await raw(`${tiny.server.url}/graphql`, { ...headers, 'if-none-match': String(etag) })
    expect([again.status, again.body.length]).toEqual([304, 0])
  })
})

/** Without the decompression that `fetch` does. */
async function raw(url: string, headers: Record<string, string>) {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: unknown; etag: unknown; body: Buffer }>()
  request(url, { headers }, (response) => {
    response.toArray().then((chunks) => {
      resolve({ status: response.statusCode, etag: response.headers.etag, body: Buffer.concat(chunks) })
    }, reject)
  })
    .on('error', reject)
    .end()
  return promise
}
