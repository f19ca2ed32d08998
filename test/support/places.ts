import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject, onTestFinished } from 'vitest'
import { type DatabaseUrl, pglite } from '../../src/config.ts'
import { freshPostgres } from './databases.ts'

/** A database that several processes open, one after another. */
export interface Place {
  readonly url: DatabaseUrl
  /** As a process of its own is told. */
  readonly text: string
  /** The dump that the folder is made from; null if there is nothing to make. */
  readonly image: string | null
}

/** A folder for one test. */
export async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kern-place-'))
  onTestFinished(() => rm(folder, { recursive: true, maxRetries: 3 }))
  return folder
}

async function embedded(): Promise<Place> {
  const data = join(await temporary(), 'data')
  return { url: pglite(data), text: data, image: inject('image') }
}

async function server(): Promise<Place> {
  const url = await freshPostgres()
  return { url, text: url.kind === 'postgres' ? url.url : '', image: null }
}

/** One of each kind, for `describe.each`. */
export const PLACES = [
  ['PGlite', embedded],
  ['Postgres', server],
] as const
