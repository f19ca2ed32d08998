import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import postgres from 'postgres'
import type { TestProject } from 'vitest/node'
import { pglite, postgres as server } from '../../src/config.ts'
import { openDatabase } from '../../src/db/client.ts'
import { migrate } from '../../src/db/migrate.ts'
import { findServer } from './postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A server with the template that databases of tests are cloned from, and where clones are named from. */
    readonly postgres: { readonly url: string; readonly template: string; readonly prefix: string }
    /** A file with the dump of a migrated embedded database. */
    readonly image: string
  }
}

const HOUR_MS = 3_600_000

/** Prepares the databases that tests are cloned from, once for all test files, and removes what they leave. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const found = await findServer()
  // The time in the name tells the next runs how old the leftovers of a crashed one are.
  const prefix = `kern_test_${Date.now()}_${process.pid}_`
  const template = `${prefix}template`
  const admin = postgres(found.url, { max: 1, onnotice: () => {} })
  await dropOld(admin)
  await admin.unsafe(`create database ${template}`)
  const url = new URL(found.url)
  url.pathname = `/${template}`
  const database = await openDatabase(server(url.href))
  await migrate(database)
  await database.close()

  provide('postgres', { url: found.url, template, prefix })
  provide('image', await embeddedImage())
  return async () => {
    await drop(admin, (name) => name.startsWith(prefix))
    await admin.end({ timeout: 5 })
    await found.stop()
  }
}

/**
 * A file with a migrated embedded database, kept from one run to the next: making one takes seconds. Its name is a hash
 * of what goes into it.
 */
async function embeddedImage(): Promise<string> {
  const hash = createHash('sha256')
    .update(process.version)
    .update(await readFile(manifestOf('@electric-sql/pglite')))
  for (const file of (await readdir('drizzle', { recursive: true })).sort()) {
    if (file.endsWith('.sql')) hash.update(file).update(await readFile(join('drizzle', file)))
  }
  const path = join(tmpdir(), `kern-test-image-${hash.digest('hex').slice(0, 16)}.tar`)
  if (existsSync(path)) return path

  const folder = await mkdtemp(join(tmpdir(), 'kern-test-'))
  const data = join(folder, 'data')
  await (await openDatabase(pglite(data))).close()
  const dump = await dumpOf(data)
  // Another run may make the same file at the same time: it appears whole, or not at all.
  await writeFile(`${path}.${process.pid}`, dump)
  await rename(`${path}.${process.pid}`, path)
  await rm(folder, { recursive: true })
  return path
}

async function dumpOf(folder: string): Promise<Buffer> {
  const client = await PGlite.create(folder)
  const dump = await client.dumpDataDir('none')
  await client.close()
  return Buffer.from(await dump.arrayBuffer())
}

function manifestOf(name: string): string {
  return join('node_modules', name, 'package.json')
}

async function dropOld(admin: postgres.Sql): Promise<void> {
  await drop(admin, (name) => Date.now() - Number(name.split('_')[2]) > HOUR_MS)
}

async function drop(admin: postgres.Sql, choose: (name: string) => boolean): Promise<void> {
  const databases = await admin<
    { datname: string }[]
  >`select datname from pg_database where datname like 'kern\\_test\\_%'`
  for (const { datname } of databases) {
    // Another run may remove the same leftovers at the same time.
    if (choose(datname)) await admin.unsafe(`drop database if exists ${datname} with (force)`)
  }
}
