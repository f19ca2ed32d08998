import { spawn } from 'node:child_process'
import { access } from 'node:fs/promises'

const FOLDER = new URL('rivals/', import.meta.url)
const INSTALL_MS = 180_000

/** Installs the other engines in their folder, where they are missing. Why it cannot be done; null if they are there. */
export async function installRivals(): Promise<string | null> {
  const installed = await access(new URL('node_modules/.package-lock.json', FOLDER)).then(
    () => true,
    () => false,
  )
  if (installed) return null
  console.log('Installing the other engines in bench/rivals')
  return await new Promise((resolve) => {
    const child = spawn('npm', ['ci', '--no-audit', '--no-fund', '--loglevel', 'error'], {
      cwd: FOLDER,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: INSTALL_MS,
    })
    let errors = ''
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString()
    })
    child.once('error', ({ message }) => resolve(message))
    child.once('close', (code) => {
      resolve(code === 0 ? null : `npm ci ended with ${code}: ${errors.trim().split('\n')[0] ?? ''}`)
    })
  })
}
