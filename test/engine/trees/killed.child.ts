import { appendFileSync, existsSync, openAsBlob, readFileSync } from 'node:fs'
import { pglite, postgres } from '../../../src/config.ts'
import { openDatabase } from '../../../src/db/client.ts'
import type { Entry } from './diary.ts'
import { live, type Plant } from './grow.ts'

/** What a process that serves trees until it kills itself is told, as the JSON text of its one argument. */
export interface Order {
  /** The folder of an embedded database, or the URL of a server. */
  readonly database: string
  /** The dump from which the folder is made; null if it is there. */
  readonly image: string | null
  /** A file with the plants, without their diaries. */
  readonly plants: string
  /** A file with a line for each entry in a diary. It is made if it is not there. */
  readonly diary: string
  /** At which event or call of a function to die, counted from 1. */
  readonly dieAt: number
}

/** Plants as a file keeps them, with the diaries that processes wrote in another. */
export function readPlants({ plants, diary }: Pick<Order, 'plants' | 'diary'>): Plant[] {
  // Both files are written by this test.
  const read = JSON.parse(readFileSync(plants, 'utf8')) as Omit<Plant, 'diary'>[]
  const lines = existsSync(diary) ? readFileSync(diary, 'utf8').split('\n') : []
  const entries = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as { id: string; entry: Entry })
  return read.map((plant) => ({
    ...plant,
    diary: entries.flatMap(({ id, entry }) => (id === plant.id ? [entry] : [])),
  }))
}

async function main(order: Order): Promise<void> {
  const { database: place, image, diary, dieAt } = order
  const blob = image === null ? {} : { image: await openAsBlob(image), migrate: false }
  const url = place.startsWith('postgres') ? postgres(place) : pglite(place)
  const database = await openDatabase(url, blob)
  let moments = 0
  const moment = ({ id }: Plant, entry: Entry | null): boolean => {
    if (entry) appendFileSync(diary, `${JSON.stringify({ id, entry })}\n`)
    moments += 1
    if (moments === dieAt) process.kill(process.pid, 'SIGKILL')
    return false
  }
  const faults = (await live({ database, plants: readPlants(order), moment }))?.flat() ?? []
  await database.close()
  if (faults.length > 0) throw new Error(faults.join('\n'))
}

if (import.meta.main) await main(JSON.parse(process.argv[2] ?? '{}'))
