import { pglite, postgres } from '../src/config.ts'

/** One way to get five recorded steps: what is measured against each other. */
export interface Contender extends AsyncDisposable {
  /** What is measured, with its version where it has one. */
  readonly title: string
  /** Does one run of five steps, and resolves when all of it is durable. */
  run(): Promise<void>
}

export const STEPS = 5

/** What each step returns: 200 bytes of JSON. */
export const RESULT = { text: 'x'.repeat(189) }

/** Connections for each contender: as many as Kern has at its defaults, those of its journal and heartbeat included. */
export const CONNECTIONS = 12

/** The names of all contenders, as `npm run bench` has them in its tables. */
export type ContenderName =
  | 'floor, one commit each'
  | 'floor, grouped commits'
  | 'Kern'
  | 'Kern, embedded'
  | 'DBOS'
  | 'Mastra'

/**
 * Makes a contender in this process.
 *
 * @param place the URL of a database that only this contender uses, a migrated one of Kern or an empty one for a rival;
 *   or the folder of an embedded database
 */
export async function createContender(name: ContenderName, place: string): Promise<Contender> {
  switch (name) {
    case 'floor, one commit each':
      return (await import('./floors.ts')).oneCommitEach(place)
    case 'floor, grouped commits':
      return (await import('./floors.ts')).groupedCommits(place)
    case 'Kern':
      return await (await import('./kern.ts')).kernContender(postgres(place))
    case 'Kern, embedded':
      return await (await import('./kern.ts')).kernContender(pglite(place))
    case 'DBOS':
      return await rival('dbos.js', place)
    case 'Mastra':
      return await rival('mastra.js', place)
  }
}

async function rival(file: string, url: string): Promise<Contender> {
  // Not known to the compiler: its packages are installed only where rivals are measured.
  const module: RivalModule = await import(new URL(`rivals/${file}`, import.meta.url).href)
  return await module.create({ url, steps: STEPS, result: RESULT, connections: CONNECTIONS })
}

interface RivalModule {
  create(options: {
    readonly url: string
    readonly steps: number
    readonly result: unknown
    readonly connections: number
  }): Promise<Contender>
}
