import { execFileSync } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { expect, onTestFinished, test } from 'vitest'
import { migrate } from '../../src/db/migrate.ts'
import { PATIENCE, startKern } from '../support/kerns.ts'
import { ownCluster } from '../support/postgres.ts'
import { type Load, LOAD, openAt, startLoad } from './load.ts'

const PACE = { heartbeatMs: 500, leaseMs: 60_000, pollMs: 100 }

/** A small disk for one test; null where this user may not mount one. */
async function smallDisk(megabytes: number): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), 'kern-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=755`, 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    await rm(folder, { recursive: true })
    process.stderr.write('\n!! NOT TESTED: a full disk. It needs a user who may mount a tmpfs.\n\n')
    return null
  }
  onTestFinished(async () => {
    execFileSync('umount', ['-l', folder])
    await rm(folder, { recursive: true })
  })
  return folder
}

/** Takes all the space that a disk has left; gives the file that holds it. */
async function fill(disk: string): Promise<string> {
  const ballast = join(disk, 'ballast')
  const { bavail, bsize } = await statfs(disk)
  await writeFile(ballast, Buffer.alloc(bavail * bsize)).catch(() => {})
  return ballast
}

async function expectTrouble(load: Load): Promise<void> {
  const before = load.unavailable()
  await expect.poll(load.unavailable, { timeout: 30_000 }).toBeGreaterThan(before + 3)
}

async function expectProgress(load: Load): Promise<void> {
  const before = load.accepted()
  await expect.poll(load.accepted, PATIENCE).toBeGreaterThan(before + 10)
}

test('a disk that is full for the log of the server ends the server, and nothing is lost once there is space', async ({
  skip,
}) => {
  const disk = await smallDisk(160)
  if (disk === null) return skip()
  const cluster = await ownCluster({ parent: disk, settings: ['max_wal_size = 32MB', 'min_wal_size = 32MB'] })
  onTestFinished(() => cluster.stop())
  const observer = await openAt(cluster.url)
  await migrate(observer)
  const kern = await startKern(await openAt(cluster.url), [LOAD], PACE)
  const load = startLoad(kern, observer)
  await expectProgress(load)
  const ballast = await fill(disk)
  const admin = postgres(cluster.url, { max: 1, onnotice: () => {} })
  onTestFinished(() => admin.end({ timeout: 1 }))
  // The load alone would take its time to fill the segments that there are.
  const nextSegment = () => admin`select pg_switch_wal(), pg_logical_emit_message(true, 'kern', 'next')`.catch(() => {})
  await expect.poll(() => nextSegment().then(cluster.isRunning), { timeout: 30_000 }).toBe(false)
  await expectTrouble(load)
  await rm(ballast)
  await cluster.start()
  await expectProgress(load)
  await load.finish()
})

test('a disk that is full for the tables only is answered by UNAVAILABLE, and no run fails for it', async ({
  skip,
}) => {
  const disk = await smallDisk(24)
  if (disk === null) return skip()
  const cluster = await ownCluster()
  onTestFinished(() => cluster.stop())
  const admin = postgres(cluster.url, { max: 1, onnotice: () => {} })
  onTestFinished(() => admin.end({ timeout: 1 }))
  const space = join(disk, 'space')
  await mkdir(space)
  const { uid, gid } = await stat(await dataOf(admin))
  await chown(space, uid, gid)
  await chmod(space, 0o700)
  await admin.unsafe(`create tablespace small location '${space}'`)
  await admin.unsafe('create database small tablespace small')
  const url = new URL(cluster.url)
  url.pathname = '/small'
  const observer = await openAt(url.href)
  await migrate(observer)
  const kern = await startKern(await openAt(url.href), [LOAD], PACE)
  const load = startLoad(kern, observer)
  await expectProgress(load)
  const ballast = await fill(disk)
  await expectTrouble(load)
  await rm(ballast)
  await expectProgress(load)
  await load.finish()
})

async function dataOf(admin: postgres.Sql): Promise<string> {
  const [found] = await admin<{ folder: string }[]>`select current_setting('data_directory') as folder`
  return found?.folder ?? ''
}
