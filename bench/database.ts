import postgresJs from 'postgres'
import { postgres, type DatabaseUrl } from '../src/config.ts'
import { openDatabase } from '../src/db/client.ts'
import { migrate } from '../src/db/migrate.ts'

/** A migrated database of its own on a real Postgres, dropped in the end. */
export interface BenchDatabase extends AsyncDisposable {
  readonly url: string
  readonly config: DatabaseUrl
  /** Commits of the whole server and bytes of its write-ahead log so far. */
  cost(): Promise<{ readonly commits: number; readonly walBytes: number }>
}

/** @param server the URL of a database on the server, whose user may create others */
export async function benchDatabase(server: string): Promise<BenchDatabase> {
  const name = `kern_bench_${process.pid}`
  const admin = postgresJs(server, { max: 1, onnotice: () => undefined })
  await admin.unsafe(`drop database if exists ${name} with (force)`)
  await admin.unsafe(`create database ${name}`)
  const own = new URL(server)
  own.pathname = `/${name}`
  const config = postgres(own.href)
  await using database = await openDatabase(config)
  await migrate(database)
  return {
    url: own.href,
    config,
    async cost() {
      await admin`select pg_stat_force_next_flush()`
      const [row] = await admin<{ commits: string; wal: string }[]>`
        select (select xact_commit from pg_stat_database where datname = ${name}) as commits,
               pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as wal`
      return { commits: Number(row?.commits), walBytes: Number(row?.wal) }
    },
    async [Symbol.asyncDispose]() {
      await admin.unsafe(`drop database if exists ${name} with (force)`)
      await admin.end({ timeout: 5 })
    },
  }
}
