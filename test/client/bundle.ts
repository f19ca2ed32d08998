import { join } from 'node:path'
import { build } from 'vite'

const root = join(import.meta.dirname, '..', '..')

/** What a bundler makes of a module for browsers, as one file. */
export interface Bundle {
  readonly code: string
  /** The files that are in it, from the root of the repository on. */
  readonly files: readonly string[]
}

/** Bundles a module of the repository as a page would. */
export async function bundle(entry: string): Promise<Bundle> {
  const built = await build({
    root,
    configFile: false,
    logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"development"' },
    build: {
      write: false,
      minify: true,
      modulePreload: false,
      rolldownOptions: { input: entry, preserveEntrySignatures: 'strict' },
    },
  })
  const outputs = [built].flat().flatMap((result) => ('output' in result ? result.output : []))
  const [chunk] = outputs
  if (outputs.length !== 1 || chunk?.type !== 'chunk') throw new Error(`${entry} became ${outputs.length} files`)
  const files = chunk.moduleIds.filter((id) => !id.startsWith('\0')).map((id) => id.replace(`${root}/`, ''))
  return { code: chunk.code, files }
}
