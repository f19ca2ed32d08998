import { openAsBlob } from 'node:fs'
import { eq, sql } from 'drizzle-orm'
import { beforeAll, beforeEach, expect, inject, test } from 'vitest'
import { pglite, postgres } from '../../src/config.ts'
import { type Db, openDatabase, rows } from '../../src/db/client.ts'
import { asKernError, databaseCode, isUnavailable, violatedConstraint } from '../../src/db/errors.ts'
import { sessions, workers } from '../../src/db/tables.ts'
import { deadline, transaction } from '../../src/db/transaction.ts'
import { KernError } from '../../src/errors.ts'
import { newId } from '../../src/ids.ts'
import { freshPostgres, onEachDatabase } from '../support/databases.ts'
import { startProxy } from '../support/proxy.ts'

const worker = (pid: number) => ({ workerId: newId(), host: 'here', pid })

/** Raises an error as the server would, with the SQLSTATE. */
const raise = (state: string) => sql.raw(`do $$ begin raise exception 'on purpose' using errcode = '${state}'; end $$`)

onEachDatabase((_name, open) => {
  let db: Db
  beforeAll(async () => {
    db = (await open()).db
  })
  beforeEach(async () => {
    await db.delete(workers)
  })

  test('a transaction is committed when it resolves and rolled back when it throws', async () => {
    await transaction(db, (tx) => tx.insert(workers).values(worker(1)))
    const failure = new Error('no')
    const failing = transaction(db, async (tx) => {
      await tx.insert(workers).values(worker(2))
      throw failure
    })
    await expect(failing).rejects.toBe(failure)
    expect(await db.select({ pid: workers.pid }).from(workers)).toEqual([{ pid: 1 }])
  })

  test.each(['40001', '40P01'])('a transaction that meets %s is tried again, at most three times', async (state) => {
    let attempts = 0
    const attempt = (failures: number) =>
      transaction(db, async (tx) => {
        attempts++
        await tx.insert(workers).values(worker(attempts))
        if (attempts <= failures) await rows(tx, raise(state))
      })
    await attempt(3)
    expect(await db.select({ pid: workers.pid }).from(workers)).toEqual([{ pid: 4 }])
    attempts = 0
    await expect(attempt(4)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(attempts).toBe(4)
  })

  test('a transaction within a transaction is undone alone', async () => {
    await transaction(db, async (tx) => {
      await tx.insert(workers).values(worker(1))
      const inner = tx.transaction(async (nested) => {
        await nested.insert(workers).values(worker(2))
        await nested.transaction((deepest) => deepest.insert(workers).values(worker(3)))
        throw new Error('no')
      })
      await expect(inner).rejects.toThrow('no')
      await tx.insert(workers).values(worker(4))
    })
    expect(await db.select({ pid: workers.pid }).from(workers).orderBy(workers.pid)).toEqual([{ pid: 1 }, { pid: 4 }])
  })

  test('a transaction that goes on after a statement failed is not said to be committed', async () => {
    const deaf = transaction(db, async (tx) => {
      await tx.insert(workers).values(worker(1))
      await rows(tx, sql`select 1 / 0`).catch(() => {})
    })
    await expect(deaf).rejects.toThrow()
    expect(await db.select().from(workers)).toEqual([])
  })

  test('a transaction can be serializable', async () => {
    const level = await transaction(db, (tx) => rows(tx, sql`show transaction_isolation`), {
      isolationLevel: 'serializable',
    })
    expect(level).toEqual([{ transaction_isolation: 'serializable' }])
  })

  test('a transaction that fails otherwise is not tried again, and what the database said is handed through', async () => {
    const own = worker(1)
    await db.insert(workers).values(own)
    let attempts = 0
    const error: unknown = await transaction(db, async (tx) => {
      attempts++
      await tx.insert(workers).values(own)
    }).catch((thrown: unknown) => thrown)
    expect([attempts, databaseCode(error), violatedConstraint(error)]).toEqual([1, '23505', 'workers_pkey'])
  })

  test('what a caller is told of a refused statement holds no SQL and no values, and the cause has it all', async () => {
    const refused: unknown = await db
      .select()
      .from(sessions)
      .where(sql`${'secret'}::int = 1`)
      .catch((thrown: unknown) => thrown)
    const error = asKernError(refused)
    expect(error).toMatchObject({
      code: 'INTERNAL',
      message: 'the database refused a statement (22P02)',
      cause: refused,
    })
  })

  test.each(['57P01', '53300', '08006', '57014', '55P03', '53100'])(
    '%s means that the database is unavailable',
    async (state) => {
      const error: unknown = await rows(db, raise(state)).catch((thrown: unknown) => thrown)
      expect(asKernError(error)).toMatchObject({ code: 'UNAVAILABLE', retryable: true, cause: error })
    },
  )

  test('a statement that waits for the transaction around it fails by the deadline', async () => {
    const short = await open({ deadlineMs: 300 })
    const id = newId()
    await short.db.insert(workers).values({ ...worker(1), workerId: id })
    const outside = transaction(short.db, async (tx) => {
      await tx.update(workers).set({ pid: 2 }).where(eq(workers.workerId, id))
      return await short.db.update(workers).set({ pid: 3 }).where(eq(workers.workerId, id))
    })
    await expect(outside).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})

test('what has the connection of an embedded database for itself may take longer than the deadline', async () => {
  const image = await openAsBlob(inject('image'))
  await using database = await openDatabase(pglite.memory(), { image, migrate: false, deadlineMs: 100 })
  const long = database.dedicated((own) =>
    transaction(own, async (tx) => {
      await rows(tx, sql`select 1`)
      // It has the same deadline, and began later: when it has failed, the time of the transaction is over too.
      const outside: unknown = await rows(database.db, sql`select 1`).catch((error: unknown) => error)
      expect(asKernError(outside)).toMatchObject({ code: 'UNAVAILABLE' })
      return await rows(tx, sql`select 2 as two`)
    }),
  )
  expect(await long).toEqual([{ two: 2 }])
})

test('a deadline drops what comes late, and hands through what comes in time', async () => {
  await expect(deadline(1, new Promise(() => {}), 'waiting')).rejects.toThrow('waiting did not end within 1 ms')
  await expect(deadline(60_000, Promise.resolve(1), 'waiting')).resolves.toBe(1)
  await expect(deadline(60_000, Promise.reject(new Error('no')), 'waiting')).rejects.toThrow('no')
})

test('a KernError is handed through, whatever it says', () => {
  const error = new KernError('NOT_FOUND', 'no such run')
  expect(asKernError(error)).toBe(error)
  expect(isUnavailable(error)).toBe(false)
})

test('a server that nobody listens at is unavailable, and the message does not say where it is', async () => {
  await using database = await openDatabase(postgres('postgres://anna:secret@127.0.0.1:1/kern'))
  const error: unknown = await rows(database.db, sql`select 1`).catch((thrown: unknown) => thrown)
  expect(asKernError(error)).toMatchObject({
    code: 'UNAVAILABLE',
    message: 'the database is not available (ECONNREFUSED)',
  })
  await expect(transaction(database.db, (tx) => rows(tx, sql`select 1`))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})

test('a connection that the server ends is unavailable once, and the next statement has a new one', async () => {
  const url = await freshPostgres()
  await using database = await openDatabase(url)
  const ended = transaction(database.db, (tx) => rows(tx, sql`select pg_terminate_backend(pg_backend_pid())`))
  await expect(ended).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(await rows(database.db, sql`select 1 as one`)).toEqual([{ one: 1 }])
})

test('a transaction whose connection is lost between two statements fails, and the process goes on', async () => {
  const url = await freshPostgres()
  await using database = await openDatabase(url)
  await using other = await openDatabase(url)
  const statements: unknown[] = []
  const lost = transaction(database.db, async (tx) => {
    const [own] = await rows<{ pid: number }>(tx, sql`select pg_backend_pid() as pid`)
    await rows(other.db, sql`select pg_terminate_backend(${own?.pid}::int, 5000)`)
    await tx
      .insert(workers)
      .values(worker(1))
      .catch((error: unknown) => statements.push(asKernError(error).code))
    await tx.insert(workers).values(worker(2))
  })
  await expect(lost).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(statements).toEqual(['UNAVAILABLE'])
  expect(await database.db.select().from(workers)).toEqual([])
})

test('while the server ends all connections again and again, each transaction is committed or unavailable', async () => {
  const url = await freshPostgres()
  if (url.kind !== 'postgres') throw new Error('not Postgres')
  await using database = await openDatabase(postgres(url.url, { maxConnections: 4 }), { deadlineMs: 2_000 })
  await using other = await openDatabase(url)
  const outcomes: string[] = []
  const users = Array.from({ length: 8 }, async (_, user) => {
    for (let number = 0; number < 12; number++) {
      const pid = user * 100 + number
      const insert = transaction(database.db, async (tx) => {
        await rows(tx, sql`select pg_sleep(0.002)`)
        await tx.insert(workers).values(worker(pid))
      })
      outcomes.push(
        await insert.then(
          () => 'committed',
          (error: unknown) => asKernError(error).code,
        ),
      )
    }
  })
  let over = false
  const killer = async () => {
    while (!over) {
      const others = sql`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`
      await rows(other.db, others)
      await rows(other.db, sql`select pg_sleep(0.02)`)
    }
  }
  const killing = killer()
  await Promise.all(users)
  over = true
  await killing
  const committed = outcomes.filter((outcome) => outcome === 'committed').length
  expect(new Set(outcomes)).toEqual(new Set(['committed', 'UNAVAILABLE']))
  // A connection may end between the commit and its answer: more may be there than are known to be.
  expect((await other.db.select().from(workers)).length).toBeGreaterThanOrEqual(committed)
  expect(await rows(database.db, sql`select 1 as one`)).toEqual([{ one: 1 }])
})

test('a pool has no more connections than it may, and who gets none in time is told so', async () => {
  const url = await freshPostgres()
  if (url.kind !== 'postgres') throw new Error('not Postgres')
  await using database = await openDatabase(postgres(url.url, { maxConnections: 2 }), { deadlineMs: 500 })
  let release = (): void => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const count = sql`select count(*)::int as n from pg_stat_activity where application_name = 'kern' and datname = current_database()`
  const hold = () =>
    transaction(database.db, async (tx) => rows<{ n: number }>(tx, count).then((found) => released.then(() => found)))
  const holders = [hold(), hold()]
  const third: unknown = await rows(database.db, sql`select 1`).catch((error: unknown) => error)
  expect(asKernError(third)).toMatchObject({ code: 'UNAVAILABLE' })
  release()
  await Promise.allSettled(holders)
  expect(await rows(database.db, count)).toEqual([{ n: expect.any(Number) }])
  const burst = await Promise.all(Array.from({ length: 20 }, () => rows<{ n: number }>(database.db, count)))
  expect(Math.max(...burst.flat().map(({ n }) => n))).toBeLessThanOrEqual(2)
})

test('a connection that went dead in silence fails by the deadline, and the pool works again as soon as the server does', async () => {
  const { hostname, port } = new URL(inject('postgres').url)
  await using proxy = await startProxy({ host: hostname, port: Number(port) })
  const fresh = await freshPostgres()
  const direct = new URL(fresh.kind === 'postgres' ? fresh.url : '')
  direct.port = String(proxy.port)
  await using database = await openDatabase(postgres(direct.href, { maxConnections: 2 }), { deadlineMs: 2_000 })
  expect(await rows(database.db, sql`select 1 as one`)).toEqual([{ one: 1 }])

  proxy.blackhole()
  const waiting = [
    rows(database.db, sql`select 1`),
    transaction(database.db, (tx) => rows(tx, sql`select 1`)),
    database.db.select().from(sessions),
    rows(database.db, sql`select 1`),
  ]
  const results = await Promise.allSettled(waiting)
  expect(
    results.map((result) => (result.status === 'rejected' ? asKernError(result.reason).code : 'answered')),
  ).toEqual(waiting.map(() => 'UNAVAILABLE'))

  proxy.restore()
  expect(await rows(database.db, sql`select 1 as one`)).toEqual([{ one: 1 }])
})
