import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'
import type { BenchDatabase, Server } from '../database.ts'
import { type Load, type LoadResult, putUnder } from '../load.ts'
import type { Options } from '../options.ts'
import { type Child, startChild } from '../process.ts'
import { figure, printTable } from '../report.ts'
import { median } from '../statistics.ts'

const MUTATION = `mutation ($input: RunWorkflowInput!) {
  runWorkflow(input: $input) { ... on RunPayload { run { runId status output } } }
}`
const BODY = JSON.stringify({
  query: MUTATION,
  variables: { input: { workflowId: 'bench', input: {}, waitMs: 60_000 } },
})

interface HttpFigure {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of the process that answers, in milliseconds of processor time a request. */
  readonly cpuPerRequest: number
}

/** What a request to run a workflow costs over HTTP, against a run without HTTP and a request that does nothing. */
export async function measureHttp(server: Server, options: Options): Promise<void> {
  const ways = ['runWorkflow over HTTP', 'kern.run, no HTTP', 'Yoga, does nothing'] as const
  await using kern: ServerChild = await startChild('children/server.ts', ['kern', (await server.database('http')).url])
  await using nothing: ServerChild = await startChild('children/server.ts', ['yoga'])
  const database: BenchDatabase = await server.database('http_library')
  await using library: Child<unknown, Load, LoadResult> = await startChild('children/contender.ts', [
    'Kern',
    database.url,
  ])
  const measures: Record<(typeof ways)[number], (load: Load) => Promise<HttpFigure>> = {
    'runWorkflow over HTTP': (load) => overHttp(kern, load),
    'kern.run, no HTTP': async (load) => {
      const { runs, seconds, p50Ms, p99Ms, cpuMs } = await library.ask(load)
      return { perSecond: runs / seconds, p50Ms, p99Ms, cpuPerRequest: cpuMs / runs }
    },
    'Yoga, does nothing': (load) => overHttp(nothing, load),
  }
  for (const atOnce of options.atOnce) {
    const figures = new Map<string, HttpFigure[]>(ways.map((way) => [way, []]))
    for (const way of ways) await measures[way]({ atOnce, seconds: options.seconds / 3 })
    for (let repeat = 0; repeat < options.repeats; repeat += 1) {
      for (const way of ways) figures.get(way)?.push(await measures[way]({ atOnce, seconds: options.seconds }))
    }
    print(atOnce, figures)
  }
}

type ServerChild = Child<string, null, number>

async function overHttp(child: ServerChild, load: Load): Promise<HttpFigure> {
  const agent = new Agent({ keepAlive: true, maxSockets: load.atOnce })
  const before = await child.ask(null)
  const { runs, seconds, p50Ms, p99Ms } = await putUnder(load, { run: () => post(child.hello, agent) })
  const after = await child.ask(null)
  agent.destroy()
  return { perSecond: runs / seconds, p50Ms, p99Ms, cpuPerRequest: (after - before) / runs }
}

function post(url: string, agent: Agent): Promise<void> {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(BODY) }
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      text(response).then((answer) => {
        if (answer.includes('"COMPLETED"')) resolve()
        else reject(new Error(`runWorkflow answered ${answer}`))
      }, reject)
    })
    sent.on('error', reject)
    sent.end(BODY)
  })
}

function print(atOnce: number, figures: ReadonlyMap<string, readonly HttpFigure[]>): void {
  const of = (way: string, pick: (figure: HttpFigure) => number) => median((figures.get(way) ?? []).map(pick))
  const rows = [...figures.keys()].map((way) => [
    way,
    figure(of(way, (f) => f.perSecond)),
    figure(
      of(way, (f) => f.p50Ms),
      2,
    ),
    figure(
      of(way, (f) => f.p99Ms),
      2,
    ),
    figure(
      of(way, (f) => f.cpuPerRequest),
      3,
    ),
  ])
  const cpu = (way: string) => of(way, (f) => f.cpuPerRequest)
  const onTop = cpu('runWorkflow over HTTP') - cpu('kern.run, no HTTP')
  const last = ['on top of kern.run', '', '', '', figure(onTop, 3)]
  printTable(`GraphQL over HTTP, ${atOnce} at once (processor time: of the answering process, a request)`, [
    ['', 'a second', 'p50 ms', 'p99 ms', 'CPU ms'],
    ...rows,
    last,
  ])
}
