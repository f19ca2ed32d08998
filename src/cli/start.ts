import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { ConfigOverrides, DatabaseUrl, KernConfig, Role } from '../config.ts'
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
  readonly role?: string
  readonly drain?: string
  readonly retention?: string
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
    .option('-r, --role <role>', `all, api or worker (KERN_ROLE, default ${DEFAULTS.role}).`)
    .option(
      '--drain <duration>',
      'How long running steps may go on when it stops, such as 30s (KERN_DRAIN, default 30s).',
    )
    .option(
      '--retention <duration>',
      'How long runs are kept after their end, such as 30d (KERN_RETENTION, default for ever).',
    )
    .option('-l, --log-level <level>', `debug, info, warn, error or silent (LOG_LEVEL, default ${DEFAULTS.logLevel}).`)
    .action(async (flags: Flags) => {
      finish(await serve(readConfig(undefined, overridesOf(flags)), terminal))
    })
}

function overridesOf({ database, drain, retention, role, ...flags }: Flags): ConfigOverrides {
  const workflows = flags.workflows && { workflows: [...flags.workflows] }
  return {
    port: flags.port,
    host: flags.host,
    databaseUrl: database,
    logLevel: flags.logLevel,
    role,
    drainMs: drain,
    retentionMs: retention,
    ...workflows,
  }
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
  const { databaseUrl: db, concurrency, timeZone, role, drainMs, retentionMs } = config
  const options = { db, workflows, concurrency, timeZone, role, drainMs, retentionMs: retentionMs ?? undefined, log }
  await using kern = await reaching(db, () => createKern(options))
  await using server = await startServer(kern, config, log)
  const started = startedFacts(kern, server, role)
  if (readable) terminal.out(startedText(started))
  else log.info(started, 'Kern listens')
  const { reason, exitCode } = await stopped
  log.info({ reason }, 'Kern stops')
  // Requests are answered meanwhile, and streams go on: from here, or from where their runs go on.
  await kern.drain()
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

async function startServer(kern: Kern, config: KernConfig, log: Log): Promise<Server> {
  const server =
    config.role === 'worker' ? await healthServer(kern, config, log) : await graphqlServer(kern, config, log)
  await server.listen()
  return server
}

async function healthServer(kern: Kern, { host, port }: KernConfig, log: Log): Promise<Server> {
  const { createHealthServer } = await import('../server/health.ts')
  return createHealthServer({ health: kern.health.bind(kern), log, options: { host, port } })
}

async function graphqlServer(kern: Kern, config: KernConfig, log: Log): Promise<Server> {
  const [{ createServer }, { createSchema }] = await Promise.all([
    import('../server/server.ts'),
    import('../../schema/index.ts'),
  ])
  const { commands, workflows, streams } = kern
  const parts = { commands, workflows, streams, readerFor: kern.readerFor.bind(kern), health: kern.health.bind(kern) }
  const { host, port, allowedOrigins, maxSockets, maxSubscriptionsPerSocket } = config
  const { maxBufferedEvents, maxBufferedBytes, maxMessageBytes, pingMs } = config
  const limits = { maxSockets, maxSubscriptionsPerSocket, maxBufferedEvents, maxBufferedBytes, maxMessageBytes, pingMs }
  return createServer({ parts, schema: createSchema(), log, options: { host, port, allowedOrigins, ...limits } })
}

/** What a person, or whoever reads the log, wants to know of a server that has started. */
export interface StartedFacts {
  readonly version: string
  readonly node: string
  readonly database: string
  readonly workflows: readonly { readonly id: string; readonly name: string; readonly steps: number }[]
  readonly role: Role
  /** Where it listens. */
  readonly url: string
  /** Null in a process that serves its health only. */
  readonly graphql: string | null
  readonly websocket: string | null
}

function startedFacts(kern: Kern, { url }: Server, role: Role): StartedFacts {
  const graphql = role === 'worker' ? null : `${url}/graphql`
  return {
    version: kernVersion(),
    node: process.version,
    database: kern.database,
    workflows: kern.workflows.list().map(({ id, name, nodes }) => ({ id, name, steps: nodes.length })),
    role,
    url,
    graphql,
    websocket: graphql?.replace(/^http/, 'ws') ?? null,
  }
}

const ROLE_TEXTS = {
  all: 'all: accepts, executes and answers',
  api: 'api: accepts and answers; other processes execute',
  worker: 'worker: executes what other processes accept',
} as const satisfies Record<Role, string>

function addresses({ graphql, websocket, url }: StartedFacts): string[][] {
  if (graphql === null || websocket === null) return [['Health', `${url}/health/ready`]]
  return [
    ['GraphiQL', `${graphql} (in a browser)`],
    ['GraphQL', `${graphql} (POST, GET, and SSE for subscriptions)`],
    ['', websocket],
  ]
}

/** The lines that a server prints when it has started. */
export function startedText(facts: StartedFacts): string {
  const workflows = facts.workflows.map(
    ({ id, name, steps }) => `${name} (${id}), ${steps} ${steps === 1 ? 'step' : 'steps'}`,
  )
  const rows = [
    ['Database', facts.database],
    ...workflows.map((text, index) => [index === 0 ? 'Workflows' : '', text]),
    ['Role', ROLE_TEXTS[facts.role]],
    ...addresses(facts),
  ]
  const lines = rows.map(([label = '', text = '']) => `  ${label.padEnd(10)} ${text}`)
  return [`Kern ${facts.version} on Node ${facts.node}`, ...lines, 'Press Ctrl-C to stop.', ''].join('\n')
}
