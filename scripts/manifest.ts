import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'

/**
 * Runs before and after npm packs. In the repository `kern` is the sources, so that examples and tests need no build; in
 * the package it is the build, as Node strips no types below `node_modules`. npm packs package.json as it stands, so it
 * is changed for that moment, and the original is kept beside it.
 */
const FILE = new URL('../package.json', import.meta.url)
const ORIGINAL = new URL('../package.json.orig', import.meta.url)

function restore(): void {
  if (existsSync(ORIGINAL)) renameSync(ORIGINAL, FILE)
}

function publish(): void {
  // Packing may have been cut off before.
  restore()
  const text = readFileSync(FILE, 'utf8')
  // The file is ours: it has what is read from it here.
  const manifest = JSON.parse(text) as { publishConfig: { exports: object } }
  writeFileSync(ORIGINAL, text)
  writeFileSync(FILE, `${JSON.stringify({ ...manifest, ...manifest.publishConfig }, null, 2)}\n`)
}

const [task] = process.argv.slice(2)
if (task === 'publish') publish()
else if (task === 'restore') restore()
else throw new Error(`the task is ${JSON.stringify(task)}: allowed are publish and restore`)
