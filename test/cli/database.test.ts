import { once } from 'node:events'
import { createServer } from 'node:net'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, inject, test } from 'vitest'
import { runCli } from '../../src/cli/program.ts'
import { openingText } from '../../src/cli/start.ts'
import { pglite, postgres } from '../../src/config.ts'
import { createProject, startProcess } from '../support/process.ts'

/** Runs a command that fails, and gives the line that it prints. */
async function failure(...args: string[]): Promise<string> {
  const printed = { out: '', err: '' }
  const code = await runCli(args, {
    out: (text) => {
      printed.out += text
    },
    err: (text) => {
      printed.err += text
    },
  })
  expect({ code, out: printed.out }).toEqual({ code: 1, out: '' })
  expect(printed.err).toMatch(/^kern: [^\n]+\n$/)
  return printed.err
}

/** The server of the tests, with another user, password or database. */
function serverUrl(change: { username?: string; pathname?: string }): string {
  return Object.assign(new URL(inject('postgres').url), { password: 's3cret', ...change }).href
}

/** A server that answers every new connection as Postgres does when it does not let it in. */
async function refusingServer(code: string): Promise<{ port: number } & AsyncDisposable> {
  const fields = ['SFATAL', `C${code}`, 'Mnot you', '', ''].join('\0')
  const header = Buffer.from([69, 0, 0, 0, 4 + fields.length - 1])
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(Buffer.concat([header, Buffer.from(fields.slice(0, -1))])))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}

describe('a Postgres server that cannot be used is named, without its password, with what to do', () => {
  test('the database does not exist', async () => {
    const { hostname, port, username } = new URL(inject('postgres').url)
    const error = await failure('migrate', '--database', serverUrl({ pathname: '/kern_nonono' }))
    expect(error).toContain('database "kern_nonono" does not exist: create it')
    expect(error).toContain(`\`createdb -h ${hostname} -p ${port} -U ${username} kern_nonono\``)
    expect(error).not.toContain('s3cret')
  })

  test('the user does not exist', async () => {
    const error = await failure('migrate', '--database', serverUrl({ username: 'kern_nobody' }))
    expect(error).toMatch(/did not let the user in \(28\w{3}\): .*user kern_nobody\. Check /)
    expect(error).not.toContain('s3cret')
  })

  test.each(['28P01', '28000'])('the server refuses the login with %s', async (code) => {
    await using server = await refusingServer(code)
    const url = `postgres://anna:s3cret@127.0.0.1:${server.port}/kern`
    const error = await failure('migrate', '--database', url)
    expect(error).toContain('user anna. Check ')
    expect(error).toContain(`did not let the user in (${code}): Postgres at 127.0.0.1:${server.port}`)
    expect(error).not.toContain('s3cret')
  })

  test('nothing listens there', async () => {
    const error = await failure('migrate', '--database', 'postgres://anna:s3cret@127.0.0.1:1/kern')
    expect(error).toContain('the database is not available (ECONNREFUSED)')
    expect(error).toContain('Postgres at 127.0.0.1:1, database kern')
    expect(error).not.toContain('s3cret')
  })

  test('kern start says the same as kern migrate', async () => {
    await using project = await createProject(`
      export const flow = new Workflow({ name: 'Flow', steps: [step('echo', ({ input }) => input)] })
    `)
    const database = serverUrl({ pathname: '/kern_nonono' })
    await using kern = startProcess(project.path, ['start', '--workflows', 'flow.ts', '--database', database])
    const { code, err } = await kern.ended
    expect([code, err]).toEqual([1, await failure('migrate', '--database', database)])
  })
})

test('a database in memory is not migrated, as nothing of it would remain', async () => {
  const error = await failure('migrate', '--database', 'pglite:memory')
  expect(error).toContain('"pglite:memory": allowed is pglite:<folder> or postgres://')
})

test('only a start that has to make an embedded database says that this takes some seconds', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kern-opening-'))
  expect(openingText(pglite(join(folder, 'data')))).toContain('takes some seconds')
  expect(openingText(pglite(folder))).toContain('takes some seconds')
  await writeFile(join(folder, 'PG_VERSION'), '18\n')
  expect(openingText(pglite(folder))).toBe('Opening the database')
  expect(openingText(pglite.memory())).toBe('Opening the database')
  expect(openingText(postgres('postgres://db/kern'))).toBe('Opening the database')
  await rm(folder, { recursive: true })
})
