import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Database, openDatabase, rows } from '../../src/db/client.ts'
import { createKernOn, type Kern } from '../../src/kern.ts'
import type { Pace, Tamper } from '../../src/wiring/pace.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { freshPostgres } from '../support/databases.ts'
import { createGate, PATIENCE } from '../support/kerns.ts'
import { temporary } from '../support/places.ts'
import { type Effect, effectLog, readEffects, watchingLog } from './effects.ts'
import type { Reach } from './hooks.ts'
import { judge, type Rule } from './oracle.ts'
import { type Rewriting, replacing, rewriting } from './rewriting.ts'
import { readRows } from './rows.ts'
import { faultyWorkflows } from './workflows.ts'

/*
 * Wrong variants of Kern. Each is put in the place of a part, and has to be found by a rule of the oracle, or by a check of
 * its own; the same scenario finds nothing where the part is as it should be.
 */

const NEVER_MS = 3_600_000

interface Stage {
  readonly url: string
  readonly database: Database
  readonly effects: () => Effect[]
  /** A Kern that counts as a process of its own, with number `pid` in the log of effects. */
  start(pid: number, settings?: { tamper?: Tamper; pace?: Pace; reach?: Reach; reordered?: boolean }): Promise<Kern>
  /** The rules that are broken. */
  broken(): Promise<Rule[]>
}

async function createStage(requests: readonly string[] = []): Promise<Stage> {
  const fresh = await freshPostgres()
  const url = fresh.kind === 'postgres' ? { ...fresh, maxConnections: 3 } : fresh
  const database = await openDatabase(url)
  onTestFinished(() => database.close())
  const file = join(await temporary(), 'effects')
  return {
    database,
    url: url.kind === 'postgres' ? url.url : '',
    effects: () => readEffects(file),
    async start(pid, { tamper, pace, reach = async () => {} } = {}) {
      const own = await openDatabase(url)
      const log = effectLog(file, pid)
      const workflows = faultyWorkflows({ log, reach, slowMs: 0 })
      const options = { workflows, log: watchingLog(log), graceMs: 1_000, drainMs: 0 }
      const kern = await createKernOn(own, options, { heartbeatMs: 100, pollMs: 30, parkMs: 10, ...pace, tamper })
      onTestFinished(async () => {
        await kern.close()
        await own.close()
      })
      return kern
    },
    async broken() {
      const evidence = { rows: await readRows(database), effects: readEffects(file), dead: new Set<number>(), requests }
      const breaches = judge({ ...evidence, transcripts: [], floor: 0 })
      return [...new Set(breaches.map(({ rule }) => rule))]
    },
  }
}

const request = (key: string, workflowId = 'sequence') => ({ workflowId, sessionId: 'session', idempotencyKey: key })

async function ended(database: Database, runs: number): Promise<void> {
  const count = async () => {
    const [row] = await rows<{ n: number }>(
      database.db,
      sql`select count(*)::int as n from kern.runs where completed_at is not null`,
    )
    return row?.n
  }
  await expect.poll(count, PATIENCE).toBe(runs)
}

const began = (stage: Stage, pid: number) =>
  stage.effects().filter((effect) => effect.type === 'began' && effect.pid === pid)

/** Two runs of a session in one process, until nothing more can be done. */
async function plainly({ tamper, plant }: { tamper?: Tamper; plant?: string }): Promise<Rule[]> {
  const stage = await createStage(['one', 'two'])
  if (plant !== undefined) await stage.database.db.execute(sql.raw(plant))
  const kern = await stage.start(1, tamper ? { tamper } : {})
  for (const key of ['one', 'two']) await kern.commands.runWorkflow(SYSTEM_VIEWER, request(key))
  await kern.idle()
  return await stage.broken()
}

interface Taken {
  readonly broken: readonly Rule[]
  /** The process whose result of the first step is recorded. */
  readonly by: number | undefined
}

/** A process holds a run in its first body while another takes it, and goes on before that one does. */
async function takenOver({ tamper, plant }: { tamper?: Tamper; plant?: string }): Promise<Taken> {
  const stage = await createStage()
  if (plant !== undefined) await stage.database.db.execute(sql.raw(plant))
  const [first, second, last] = [createGate(), createGate(), createGate()]
  const settings = tamper ? { tamper } : {}
  const silent = { heartbeatMs: NEVER_MS, pollMs: NEVER_MS }
  // In its second body, if it comes so far, it stays until the other one is done.
  const reach = async () => await (began(stage, 1).length > 1 ? last : first).pass()
  const one = await stage.start(1, { ...settings, pace: silent, reach })
  await one.commands.runWorkflow(SYSTEM_VIEWER, request('one'))
  await first.reached
  const two = await stage.start(2, { ...settings, pace: { leaseMs: 100 }, reach: second.pass })
  await second.reached
  first.open()
  // What it writes is refused, or it goes on to its second body.
  const over = () =>
    stage.effects().some(({ type, pid }) => type === 'fenced' && pid === 1) || began(stage, 1).length === 2
  await expect.poll(over, PATIENCE).toBe(true)
  second.open()
  await ended(stage.database, 1)
  last.open()
  await Promise.all([one.close(), two.close()])
  const recorded = (await readRows(stage.database)).steps.find(({ path }) => path === 'a')?.output
  const returned = stage.effects().find((effect) => effect.type === 'returned' && recorded?.includes(effect.token))
  return { broken: await stage.broken(), by: returned?.pid }
}

/** A run waits for its turn while the one before it is in a body, for as long as a worker takes to look several times. */
async function waitingTurn({ tamper = {} }: { tamper?: Tamper }): Promise<Rule[]> {
  const stage = await createStage()
  const gate = createGate()
  let looks = 0
  const counting: Tamper = {
    ...tamper,
    ownership: (ownership) => ({
      ...ownership,
      waiting(...given) {
        looks += 1
        return ownership.waiting(...given)
      },
    }),
  }
  const kern = await stage.start(1, { tamper: counting, reach: gate.pass })
  await kern.commands.runWorkflow(SYSTEM_VIEWER, request('one'))
  await gate.reached
  await kern.commands.runWorkflow(SYSTEM_VIEWER, request('two'))
  const before = looks
  await expect.poll(() => looks > before + 5 || began(stage, 1).length > 1, PATIENCE).toBe(true)
  gate.open()
  await ended(stage.database, 2)
  return await stage.broken()
}

/** How many bodies began before the result of the one before them was durable. */
async function early({ tamper }: { tamper?: Tamper }): Promise<number> {
  const stage = await createStage()
  let found = 0
  const reach = async () => {
    const before = began(stage, 1).length - 1
    const { steps } = await readRows(stage.database)
    if (steps.filter(({ completed }) => completed).length < before) found += 1
  }
  const kern = await stage.start(1, { ...(tamper ? { tamper } : {}), reach })
  await kern.commands.runWorkflow(SYSTEM_VIEWER, request('one'))
  // Where writes are late, the run is not seen to end.
  await expect.poll(() => began(stage, 1).length, PATIENCE).toBeGreaterThan(2)
  return found
}

/** How many bodies a second process begins of a run that a living one executes, while it looks several times. */
async function besides({ tamper = {} }: { tamper?: Tamper }): Promise<number> {
  const stage = await createStage()
  const gate = createGate()
  const kern = await stage.start(1, { reach: gate.pass })
  await kern.commands.runWorkflow(SYSTEM_VIEWER, request('one'))
  await gate.reached
  let looks = 0
  const counting: Tamper = {
    ...tamper,
    ownership: (ownership) => ({
      ...ownership,
      waiting(...given) {
        looks += 1
        return ownership.waiting(...given)
      },
    }),
  }
  await stage.start(2, { tamper: counting, reach: gate.pass })
  await expect.poll(() => looks > 5 || began(stage, 2).length > 0, PATIENCE).toBe(true)
  const bodies = began(stage, 2).length
  gate.open()
  await ended(stage.database, 1)
  return bodies
}

/** A variant of the statements of the journal. It fails where the text to replace is not found any more. */
function flushing(...changes: readonly (readonly [string | RegExp, string])[]): Tamper {
  const all = changes.map(([from, to]) => replacing(from, to))
  onTestFinished(() => {
    expect(
      all.map(({ seen }) => seen()),
      'the texts to replace are in the statements',
    ).toEqual(changes.map(() => true))
  })
  return {
    flushes: (db) => rewriting(db, { text: (text) => all.reduce((before, change) => change.text(before), text) }),
  }
}

function claiming(from: string | RegExp, to: string): Tamper {
  const change = replacing(from, to)
  onTestFinished(() => expect(change.seen(), `"${from}" is in a statement`).toBe(true))
  const rewrite: Rewriting = { text: change.text }
  return { reserved: (db) => rewriting(db, rewrite), db: (db) => rewriting(db, rewrite) }
}

const NO_FENCE = ['r.epoch = i.epoch', 'true'] as const

/** Changes writes of the journal before they are written. */
type Write = Parameters<ReturnType<NonNullable<Tamper['journal']>>['write']>[0]
const writing = (change: (write: Write) => Write): Tamper => ({
  journal: (journal) => ({ ...journal, write: (write) => journal.write(change(write)) }),
})

describe('the oracle finds a variant of Kern', () => {
  test('without a fence: a process that lost its run records a result', async () => {
    expect(await takenOver({})).toEqual({ broken: [], by: 2 })
    // The last wall, the unique key, keeps the run in one piece: the new owner goes on with what is there.
    expect(await takenOver({ tamper: flushing(NO_FENCE) })).toMatchObject({ by: 1 })
  })

  test('without a fence and without a unique key of events', async () => {
    const plant = 'alter table kern.run_events drop constraint run_events_pkey'
    const tamper = flushing(NO_FENCE, ['on conflict (run_id, seq) do nothing', ''])
    expect((await takenOver({ tamper, plant })).broken).toContain('seq')
  })

  test('that takes runs before their turn', async () => {
    expect(await waitingTurn({})).toEqual([])
    const hasTurn = 'r.run_id = (select s.active_run_id from kern.sessions s where s.session_id = r.session_id)'
    expect(await waitingTurn({ tamper: claiming(hasTurn, 'true') })).toContain('overlap')
  })

  test('that goes on before a result is committed', async () => {
    expect(await early({})).toBe(0)
    const tamper: Tamper = {
      journal(journal) {
        let before: Promise<unknown> = Promise.resolve()
        return {
          ...journal,
          async write(write) {
            before = before
              .then(() => delay(200))
              .then(() => journal.write(write))
              .catch(() => undefined)
            return { type: 'committed', nextRunId: null }
          },
        }
      },
    }
    expect(await early({ tamper })).toBeGreaterThan(0)
  })

  test('that judges the heartbeats of others by its own clock, which is an hour ahead', async () => {
    expect(await besides({})).toBe(0)
    const ahead = claiming(/heartbeat_at > now\(\)/g, `heartbeat_at > now() + interval '1 hour'`)
    expect(await besides({ tamper: ahead })).toBeGreaterThan(0)
  })

  test('that does what is right in two runs of a session: nothing', async () => {
    expect(await plainly({})).toEqual([])
  })

  test('that says that a write was committed which the database refused', async () => {
    let writes = 0
    const tamper: Tamper = {
      journal: (journal) => ({
        ...journal,
        async write(write) {
          writes += 1
          return writes === 3 ? { type: 'committed', nextRunId: null } : await journal.write(write)
        },
      }),
    }
    expect(await plainly({ tamper })).toContain('seq')
  })

  test('that skips a number of an event', async () => {
    const later = writing((write) => ({
      ...write,
      events: write.events.map((event) => ({ ...event, seq: event.seq > 4 ? event.seq + 1 : event.seq })),
    }))
    expect(await plainly({ tamper: later })).toContain('seq')
  })

  test('that ends a run without its final event', async () => {
    const silent = writing((write) => ({ ...write, events: write.end ? write.events.slice(0, -1) : write.events }))
    expect(await plainly({ tamper: silent })).toContain('final')
  })

  test('that does not commit the state with its step', async () => {
    const stateless = writing(({ state, ...write }) => (state && write.end === undefined ? write : { ...write, state }))
    expect(await plainly({ tamper: stateless })).toContain('state')
  })

  test('that forgets the idempotency key of a request', async () => {
    const tamper: Tamper = {
      store: (store) => ({ ...store, accept: (run) => store.accept({ ...run, idempotencyKey: null }) }),
      journal: (journal) => ({
        ...journal,
        accept: (run, owner) => journal.accept({ ...run, idempotencyKey: null }, owner),
      }),
    }
    expect(await plainly({ tamper })).toContain('accepted')
  })

  test('that does not give the turn on', async () => {
    const plant = `create function kern.keep_turn() returns trigger language plpgsql as $$ begin
        if new.active_run_id <> old.active_run_id then new.active_run_id := old.active_run_id; end if;
        return new;
      end $$;
      create trigger keep_turn before update on kern.sessions for each row execute function kern.keep_turn()`
    expect(await plainly({ plant })).toContain('ended')
  })
})
