import postgres from 'postgres'
import { onTestFinished } from 'vitest'
import { keptPostgres } from '../faults/kept.ts'
import type { Chance } from '../faults/seed.ts'
import { ask } from '../support/server.ts'
import { createFleet, type Fleet, type Member } from './fleet.ts'
import type { Order } from './member.child.ts'

/** Servers and workers in processes of their own, on one database. */
export interface Arena {
  readonly sql: postgres.Sql
  readonly fleet: Fleet
  /** The URL of the database. */
  readonly database: string
  /** A server that is there now. */
  where(): string
  /** Kills one of them, chosen by chance, and starts another in its place; one after another. */
  kill(): void
  /** Resolves when nobody is being replaced; rejects if somebody could not be. */
  quiet(): Promise<void>
  /** How many were killed so far. */
  readonly killed: number
  /** Asks any server for a mutation that may be repeated, until one answers; `result` is its field. */
  call(query: string, input: Record<string, unknown>): Promise<Record<string, unknown>>
  /** Says that the database need not be kept. */
  sound(): void
}

export interface ArenaOptions {
  readonly chance: Chance
  readonly servers: Omit<Order, 'database'>[]
  /** How many connections of its own the test may have. @default 4 */
  readonly connections?: number
  /** In words, for whoever looks at the database of a test that failed. */
  readonly how: string
}

export async function createArena({ chance, servers, connections = 4, how }: ArenaOptions): Promise<Arena> {
  const fleet = await createFleet()
  const place = await keptPostgres(how)
  // What is finished last is undone first: nobody is there any more when the database goes.
  onTestFinished(() => fleet[Symbol.asyncDispose]())
  const sql = postgres(place.text, { max: connections, onnotice: () => {} })
  onTestFinished(() => sql.end({ timeout: 5 }))
  const slots: { readonly order: Order; member: Member | null }[] = []
  for (const server of servers) {
    const order = { ...server, database: place.text }
    slots.push({ order, member: await fleet.start(order) })
  }
  let killing = Promise.resolve()
  let killed = 0
  const replace = async () => {
    const slot = chance.one(slots)
    const { member } = slot
    slot.member = null
    await member?.kill()
    killed += 1
    slot.member = await fleet.start(slot.order)
  }
  const where = () => chance.one(slots.flatMap(({ member }) => member?.url ?? []))
  return {
    sql,
    fleet,
    database: place.text,
    where,
    kill() {
      killing = killing.then(replace)
      killing.catch(() => undefined)
    },
    quiet: () => killing,
    get killed() {
      return killed
    },
    async call(query, input) {
      for (;;) {
        const answer = await ask(
          { url: where() },
          `mutation ($input: ${query.slice(0, 1).toUpperCase()}${query.slice(1)}Input!) {
            result: ${query}(input: $input) { ... on RunPayload { run { runId } } ... on Error { message } } }`,
          { input },
        ).catch(() => null) // the server was killed
        if (answer?.errors) throw new Error(JSON.stringify(answer.errors))
        if (answer?.data) return answer.data['result'] as Record<string, unknown> // as the query says
      }
    },
    sound: place.sound,
  }
}

/** Starts a run, once, however often servers are killed meanwhile. */
export async function startRun(
  arena: Arena,
  input: { readonly workflowId: string; readonly input: unknown; readonly sessionId: string; readonly key: string },
): Promise<string> {
  const { key: idempotencyKey, ...rest } = input
  const { run, message } = await arena.call('runWorkflow', { ...rest, idempotencyKey })
  if (typeof run !== 'object' || run === null || !('runId' in run)) throw new Error(String(message))
  return String(run.runId)
}
