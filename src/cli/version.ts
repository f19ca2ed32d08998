import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The version of Kern, from the first package.json above this file, in the sources as in a build. */
export function kernVersion(): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  const content: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const known = typeof content === 'object' && content !== null && 'version' in content
  return known ? String(content.version) : 'unknown'
}
