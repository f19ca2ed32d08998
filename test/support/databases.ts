import { openAsBlob } from 'node:fs'
import postgres from 'postgres'
import { afterAll, describe, inject } from 'vitest'
import { type DatabaseUrl, pglite, postgres as server } from '../../src/config.ts'
import { type Database, type OpenOptions, openDatabase } from '../../src/db/client.ts'

/** Opens a fresh, migrated database. It is closed and removed when the suite ends, if the test did not close it. */
export type OpenFresh = (options?: OpenOptions) => Promise<Database>

/**
 * Runs one suite on the embedded database and on Postgres. A suite that leaves a connection to one of its Postgres
 * databases open fails.
 *
 * ```ts
 * onEachDatabase((name, open) => {
 *   test('counts', async () => {
 *     const { db } = await open()
 *   })
 * })
 * ```
 */
export function onEachDatabase(suite: (name: 'PGlite' | 'Postgres', open: OpenFresh) => void): void {
  describe('on PGlite', () => {
    const databases: Database[] = []
    suite('PGlite', opening(openEmbedded, databases))
    afterAll(() => closeAll(databases))
  })
  describe('on Postgres', () => {
    const databases: Database[] = []
    const names: string[] = []
    suite(
      'Postgres',
      opening((options) => openPostgres(names, options), databases),
    )
    afterAll(async () => {
      await closeAll(databases)
      await expectNoConnections(names)
    })
  })
}

/** The URL of a fresh, migrated Postgres database, for tests that open it more than once or in other processes. */
export async function freshPostgres(): Promise<DatabaseUrl> {
  const { url } = await clone()
  return server(url, CONNECTIONS)
}

function opening(open: OpenFresh, databases: Database[]): OpenFresh {
  return async (options) => {
    const database = await open(options)
    databases.push(database)
    return database
  }
}

async function closeAll(databases: readonly Database[]): Promise<void> {
  await Promise.all(databases.map((database) => database.close()))
}

/** The server needs a moment to see that a connection was closed, so it is asked a few times. */
async function expectNoConnections(names: readonly string[]): Promise<void> {
  await asAdmin(async (admin) => {
    for (let attempt = 1; ; attempt++) {
      const open = await admin<{ application_name: string; query: string }[]>`
        select application_name, query from pg_stat_activity where datname = any(${names})`
      if (open.length === 0) return
      const [first] = open
      if (attempt === 20)
        throw new Error(`${open.length} connections were left open; the last statement of one was ${first?.query}`)
      await admin`select pg_sleep(0.05)`
    }
  })
}

async function openEmbedded(options?: OpenOptions): Promise<Database> {
  const image = await openAsBlob(inject('image'))
  return await openDatabase(pglite.memory(), { ...options, image, migrate: false })
}

async function openPostgres(names: string[], options?: OpenOptions): Promise<Database> {
  const { url, name } = await clone()
  names.push(name)
  return await openDatabase(server(url, CONNECTIONS), options)
}

/** Fewer than by default: several files run at once, some with several processes, and a server has a hundred. */
const CONNECTIONS = { maxConnections: 6 }

let clones = 0

async function clone(): Promise<{ readonly url: string; readonly name: string }> {
  const { url, template, prefix } = inject('postgres')
  const name = `${prefix}${process.pid}_${++clones}`
  await asAdmin((admin) => admin.unsafe(`create database ${name} template ${template}`))
  const own = new URL(url)
  own.pathname = `/${name}`
  return { url: own.href, name }
}

async function asAdmin<T>(work: (admin: postgres.Sql) => Promise<T>): Promise<T> {
  const admin = postgres(inject('postgres').url, { max: 1, onnotice: () => {} })
  try {
    return await work(admin)
  } finally {
    await admin.end({ timeout: 5 })
  }
}
