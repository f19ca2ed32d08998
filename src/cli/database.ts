import type { DatabaseUrl } from '../config.ts'
import { asKernError, databaseCode } from '../db/errors.ts'
import { KernError, shown } from '../errors.ts'

type ServerUrl = Extract<DatabaseUrl, { kind: 'postgres' }>

/** What the server answers where it has no database of that name, to users it does not take, and to a wrong password. */
const NO_DATABASE = '3D000'
const NO_ENTRY = '28000'
const WRONG_PASSWORD = '28P01'

const SETTING = 'DATABASE_URL or --database'

/**
 * Opens and asks a database by `work`. Errors of the parts below do not tell where the database is, as they may go to
 * anybody over GraphQL; whoever runs a command may know it, all but the password.
 *
 * @throws KernError CONFIG_INVALID if the server has no such database, or does not let the user in
 * @throws KernError UNAVAILABLE with the place of the server
 */
export async function reaching<T>(url: DatabaseUrl, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw url.kind === 'postgres' ? await located(error, url) : error
  }
}

async function located(error: unknown, url: ServerUrl): Promise<unknown> {
  const code = databaseCode(error)
  if (code === NO_DATABASE) return new KernError('CONFIG_INVALID', missing(url), { cause: error })
  if (code === NO_ENTRY || code === WRONG_PASSWORD) {
    const check =
      code === NO_ENTRY ? `that the user exists and may log in, and ${SETTING}` : `the password in ${SETTING}`
    const message = `the database did not let the user in (${code}): ${await placeOf(url)}. Check ${check}`
    return new KernError('CONFIG_INVALID', message, { cause: error })
  }
  const known = asKernError(error)
  if (known.code !== 'UNAVAILABLE') return error
  const message = `${known.message}: ${await placeOf(url)}. Check that it runs there, and ${SETTING}`
  return new KernError('UNAVAILABLE', message, { cause: error })
}

/** As the driver reads the URL. Connects to nothing. */
async function placeOf(url: ServerUrl): Promise<string> {
  const { openDatabase } = await import('../db/client.ts')
  await using database = await openDatabase(url)
  return database.describe()
}

function missing({ url }: ServerUrl): string {
  const { hostname, port, username, pathname } = new URL(url)
  const name = decodeURIComponent(pathname.slice(1))
  const flags = [
    ['-h', hostname.replace(/^\[|\]$/g, '')],
    ['-p', port],
    ['-U', decodeURIComponent(username)],
    ['', name],
  ]
  const words = flags.flatMap(([flag = '', value = '']) => (value === '' ? [] : [flag, quoted(value)]))
  const command = ['createdb', ...words].filter((word) => word !== '').join(' ')
  return `database ${shown(name)} does not exist: create it (with \`${command}\`)`
}

/** A word as a shell takes it. */
function quoted(word: string): string {
  return /^[\w.:-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
