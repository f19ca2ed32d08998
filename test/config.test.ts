import { describe, expect, test } from 'vitest'
import { DEFAULTS, pglite, postgres, readConfig } from '../src/config.ts'
import { type KernError, isKernError } from '../src/errors.ts'
import { createKern } from '../src/kern.ts'

function refusal(work: () => unknown): KernError {
  try {
    work()
  } catch (error) {
    if (isKernError(error, 'CONFIG_INVALID')) return error
    throw error
  }
  throw new Error('it was not refused')
}

describe('the settings', () => {
  test('are the defaults where nothing is given', () => {
    expect(readConfig({})).toEqual(DEFAULTS)
    expect(readConfig({ PATH: '/bin' }, { port: undefined })).toEqual(DEFAULTS)
  })

  test('come from the environment', () => {
    const env = {
      PORT: '0',
      HOST: '::1',
      DATABASE_URL: 'postgresql://anna@db/kern',
      KERN_WORKFLOWS: 'a.ts, folder/b',
      LOG_LEVEL: 'debug',
      LOG_FORMAT: 'json',
      KERN_CONCURRENCY: '7',
      KERN_TIME_ZONE: 'Europe/Berlin',
      KERN_ROLE: 'worker',
      KERN_DRAIN: '2m',
      KERN_ALLOWED_ORIGINS: 'https://a.example, http://localhost:5173',
      KERN_MAX_SOCKETS: '3',
      KERN_MAX_SUBSCRIPTIONS: '4',
      KERN_MAX_BUFFERED_EVENTS: '5',
      KERN_MAX_BUFFERED_BYTES: '6000',
      KERN_MAX_MESSAGE_BYTES: '7000',
      KERN_PING: '5s',
    }
    expect(readConfig(env)).toEqual({
      port: 0,
      host: '::1',
      databaseUrl: { kind: 'postgres', url: 'postgresql://anna@db/kern', maxConnections: 10 },
      workflows: ['a.ts', 'folder/b'],
      logLevel: 'debug',
      logFormat: 'json',
      concurrency: 7,
      timeZone: 'Europe/Berlin',
      role: 'worker',
      drainMs: 120_000,
      retentionMs: null,
      allowedOrigins: ['https://a.example', 'http://localhost:5173'],
      maxSockets: 3,
      maxSubscriptionsPerSocket: 4,
      maxBufferedEvents: 5,
      maxBufferedBytes: 6_000,
      maxMessageBytes: 7_000,
      pingMs: 5_000,
    })
  })

  test('come from the overrides first, as values or as text', () => {
    const env = { PORT: '1', DATABASE_URL: 'pglite:memory', KERN_WORKFLOWS: 'a' }
    const url = postgres('postgres://db/kern', { maxConnections: 3 })
    expect(readConfig(env, { port: '2', databaseUrl: url, workflows: ['b', 'c'] })).toEqual({
      ...DEFAULTS,
      port: 2,
      databaseUrl: url,
      workflows: ['b', 'c'],
    })
    expect(readConfig(env, { port: 3 }).port).toBe(3)
    expect(readConfig({}, { databaseUrl: pglite('x') }).databaseUrl).toEqual(pglite('x'))
    expect(readConfig({}, { databaseUrl: pglite.memory() }).databaseUrl).toEqual(pglite.memory())
  })

  test.each([
    ['KERN_ROLE', 'both', 'KERN_ROLE is "both": allowed is all, api, worker'],
    ['KERN_DRAIN', 'soon', 'KERN_DRAIN is "soon": allowed are milliseconds from 0'],
    ['PORT', 'abc', 'PORT is "abc": allowed is a whole number from 0 to 65535'],
    ['PORT', '', 'PORT is "": allowed'],
    ['PORT', '65536', '65535'],
    ['PORT', '1e3', 'whole number'],
    ['PORT', '-1', 'whole number'],
    ['HOST', 'a b', 'HOST is "a b"'],
    ['DATABASE_URL', 'mysql://db', 'allowed is pglite:<folder>, pglite:memory, postgres://'],
    ['DATABASE_URL', 'pglite:', 'pglite:<folder>'],
    ['DATABASE_URL', 'pglite: ', 'pglite:<folder>'],
    ['KERN_WORKFLOWS', 'a,,b', 'separated by commas'],
    ['LOG_LEVEL', 'loud', 'debug, info, warn, error, silent'],
    ['LOG_FORMAT', 'xml', 'auto, json, pretty'],
    ['KERN_CONCURRENCY', '0', 'from 1 to 10000'],
    ['KERN_ALLOWED_ORIGINS', 'https://a.example/', 'KERN_ALLOWED_ORIGINS is "https://a.example/"'],
    ['KERN_PING', '12ms', 'KERN_PING is "12ms": allowed is a time from 1s to 24 days'],
    ['KERN_MAX_SOCKETS', '0', 'KERN_MAX_SOCKETS is "0"'],
    ['KERN_TIME_ZONE', 'Mars/Olympus', 'KERN_TIME_ZONE is "Mars/Olympus"'],
  ])('are refused where %s is %j', (name, value, message) => {
    expect(refusal(() => readConfig({ [name]: value })).message).toContain(message)
  })

  test('are refused where an override is malformed, by the name of the override', () => {
    expect(refusal(() => readConfig({ PORT: '1' }, { port: 1.5 })).message).toMatch(/^port is 1.5: allowed/)
  })

  test.each(['KERN_PORT', 'KERN_ROLES', 'KERN_AUTH', 'KERN_'])(
    'are refused where there is none of the name %s',
    (name) => {
      const { message } = refusal(() => readConfig({ [name]: 'x' }))
      expect(message).toContain(`${name} is not a setting of Kern`)
      expect(message).toContain('KERN_WORKFLOWS')
    },
  )

  test('are refused where there is no override of the name', () => {
    const overrides: object = { prot: 1 }
    expect(refusal(() => readConfig({}, overrides)).message).toContain('"prot" is not a setting')
  })

  test.each([
    'mysql://anna:s3cret@db/kern',
    'postgres://anna:s3cret@db:99999999/kern',
    'postgres://anna:s3cr@et@db:x/kern',
    'postgres://anna:s3cret',
    'postgres//anna:s3cret@db',
    'anna:s3cret@db',
    'host=db password=s3cret',
    'mysql://db/kern?password=s3cret&x=1',
  ])('are refused without telling the password in %s', (url) => {
    const { message } = refusal(() => readConfig({ DATABASE_URL: url }))
    expect(message).not.toMatch(/s3cr|et@/)
    expect(message).toContain('DATABASE_URL')
  })

  test('cannot be changed', () => {
    const config = readConfig({ KERN_WORKFLOWS: 'a' })
    expect([config, config.workflows, config.databaseUrl].every(Object.isFrozen)).toBe(true)
  })
})

describe('the name of a database', () => {
  test('is frozen data', () => {
    const names = [pglite('a'), pglite.memory(), postgres('postgres://db/kern')]
    expect(names).toEqual([
      { kind: 'pglite', folder: 'a' },
      { kind: 'memory' },
      { kind: 'postgres', url: 'postgres://db/kern', maxConnections: 10 },
    ])
    expect(names.every(Object.isFrozen)).toBe(true)
  })

  test('is refused where it is malformed', () => {
    expect(refusal(() => pglite('')).message).toContain('folder is ""')
    expect(refusal(() => postgres('http://db')).message).toContain('url is "http://db"')
    expect(refusal(() => postgres('postgres://db', { maxConnections: 0 })).message).toContain('maxConnections is 0')
  })
})

test.each([
  ['text', 'pglite', '"pglite"'],
  ['a URL', 'postgres://anna:s3cret@db/kern', '@db/kern'],
  ['nothing', undefined, 'undefined'],
  ['an object of another kind', { kind: 'mysql', url: 'mysql://anna:s3cret@db' }, 'object'],
])('a Kern is not made of a db that is %s', async (_what, db, shown) => {
  // Authors without a compiler may give anything.
  const making = createKern({ db: db as never, workflows: [] })
  await expect(making).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(
      /^db is .*: allowed is what pglite\(folder\), pglite\.memory\(\) or postgres\(url\)/,
    ),
  })
  await expect(making).rejects.toThrow(shown)
  await expect(making).rejects.not.toThrow('s3cret')
})
