import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { ConfigOverrides, DatabaseUrl, KernConfig } from '../config.ts'
import { DEFAULTS, readConfig } from '../config.ts'
import type { Kern } from '../kern.ts'
import { createLog, isTerminal } from '../log.ts'
import type { Log } from '../log.ts'
import type { Server } from '../server/server.ts'
import { reaching } from './database.ts'
import { loadWorkflows } from './load.ts'
import type { Terminal } from './terminal.ts'
import { watchForStop } from './stop.ts'
import { kernVersion } from './version.ts'

interface Flags {
  readonly port?: string
  readonly host?: string
  readonly database?: string
  readonly workflows?: readonly string[]
  readonly logLevel?: string
}

/** `kern start`: serves workflows until it is told to stop. */
export function addStart(program: Command, terminal: Terminal, finish: (exitCode: number) => void): void {
  program
    .command('start')
    .description('Serve workflows over GraphQL.')
    .option('-p, --port <number>', `The port, 0 for any free one (PORT, default ${DEFAULTS.port}).`)
    .option('-H, --host <address>', `The address to listen on (HOST, default ${DEFAULTS.host}).`)
    .option(
      '-d, --database <url>',
      'pglite:<folder>, pglite:memory or postgres://… (DATABASE_URL, default pglite:.kern/data).',
    )
    .option('-w, --workflows <paths...>', 'Files or folders that export workflows (KERN_WORKFLOWS).')
    .option('-l, --log-level <level>', `debug, info, warn, error or silent (LOG_LEVEL, default ${DEFAULTS.logLevel}).`)
    .action(async (flags: Flags) => {
      finish(await serve(readConfig(undefined, overridesOf(flags)), terminal))
    })
}

function overridesOf({ database, ...flags }: Flags): ConfigOverrides {
  const workflows = flags.workflows && { workflows: [...flags.workflows] }
  return { port: flags.port, host: flags.host, databaseUrl: database, logLevel: flags.logLevel, ...workflows }
}

async function serve(config: KernConfig, terminal: Terminal): Promise<number> {
  const log = createLog({ level: config.logLevel, format: config.logFormat })
  const readable = config.logFormat === 'pretty' || (config.logFormat === 'auto' && isTerminal(process.stdout))
  const stopped = watchForStop(log)
  const workflows = await loadWorkflows(config.workflows)
  const opening = openingText(config.databaseUrl)
  if (readable) terminal.out(`${opening} …\n`)
  else log.info({}, opening)
  const { createKern } = await import('../kern.ts')
  const { databaseUrl: db, concurrency, timeZone } = config
  await using kern = await reaching(db, () => createKern({ db, workflows, concurrency, timeZone, log }))
  await using server = await startServer(kern, config, log)
  const started = startedFacts(kern, server)
  if (readable) terminal.out(startedText(started))
  else log.info(started, 'Kern listens')
  const { reason, exitCode } = await stopped
  log.info({ reason }, 'Kern stops')
  await server.close()
  await kern.close()
  log.info({}, 'Kern has stopped')
  return exitCode
}

/** What is said before the database is opened: only to make the files of an embedded one takes long. */
export function openingText(url: DatabaseUrl): string {
  const isNew = url.kind === 'pglite' && !existsSync(join(url.folder, 'PG_VERSION'))
  return isNew ? `Making an embedded database in ${url.folder}, which takes some seconds` : 'Opening the database'
}

async function startServer(kern: Kern, { host, port }: KernConfig, log: Log): Promise<Server> {
  const [{ createServer }, { createSchema }] = await Promise.all([
    import('../server/server.ts'),
    import('../../schema/index.ts'),
  ])
  const { commands, workflows, streams } = kern
  const parts = { commands, workflows, streams, readerFor: kern.readerFor.bind(kern), health: kern.health.bind(kern) }
  const server = createServer({ parts, schema: createSchema(), log, options: { host, port } })
  await server.listen()
  return server
}

/** What a person, or whoever reads the log, wants to know of a server that has started. */
export interface StartedFacts {
  readonly version: string
  readonly node: string
  readonly database: string
  readonly workflows: readonly { readonly id: string; readonly name: string; readonly steps: number }[]
  readonly graphql: string
  readonly websocket: string
}

function startedFacts(kern: Kern, server: Server): StartedFacts {
  return {
    version: kernVersion(),
    node: process.version,
    database: kern.database,
    workflows: kern.workflows.list().map(({ id, name, nodes }) => ({ id, name, steps: nodes.length })),
    graphql: `${server.url}/graphql`,
    websocket: `${server.url.replace(/^http/, 'ws')}/graphql`,
  }
}

/** The lines that a server prints when it has started. */
export function startedText(facts: StartedFacts): string {
  const workflows = facts.workflows.map(
    ({ id, name, steps }) => `${name} (${id}), ${steps} ${steps === 1 ? 'step' : 'steps'}`,
  )
  const rows = [
    ['Database', facts.database],
    ...workflows.map((text, index) => [index === 0 ? 'Workflows' : '', text]),
    ['GraphiQL', `${facts.graphql} (in a browser)`],
    ['GraphQL', `${facts.graphql} (POST, GET, and SSE for subscriptions)`],
    ['', facts.websocket],
  ]
  const lines = rows.map(([label = '', text = '']) => `  ${label.padEnd(10)} ${text}`)
  return [`Kern ${facts.version} on Node ${facts.node}`, ...lines, 'Press Ctrl-C to stop.', ''].join('\n')
}
