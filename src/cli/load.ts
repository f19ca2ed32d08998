import { readdir, stat } from 'node:fs/promises'
import { extname, isAbsolute, join, relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { KernError, shown } from '../errors.ts'
import type { HasDefinition } from '../workflow/definition.ts'

const EXTENSIONS = ['.ts', '.mts', '.js', '.mjs']

const STRIPPED =
  'Node runs TypeScript by leaving out the types: it takes no enums, parameter properties, or namespaces with values'

/**
 * Loads every workflow that the files export: by name, as default, or in an exported array. Of a folder the files at its
 * top level are loaded, in order of name, without type declarations (`.d.ts`) and tests (`.test.`). The same workflow
 * exported twice counts once.
 *
 * @param paths files or folders, relative to `folder`
 * @throws KernError CONFIG_INVALID if a path does not exist, a file fails to load, or there is no workflow at all
 */
export async function loadWorkflows(
  paths: readonly string[],
  folder: string = process.cwd(),
): Promise<HasDefinition[]> {
  const files = new Set<string>()
  for (const path of paths) for (const file of await filesAt(path, folder)) files.add(file)
  const workflows = new Map<unknown, HasDefinition>()
  for (const file of files) {
    for (const workflow of await workflowsOf(file, folder)) workflows.set(workflow.definition, workflow)
  }
  if (workflows.size === 0) throw nothingFound(paths, files.size)
  return [...workflows.values()]
}

async function filesAt(path: string, folder: string): Promise<string[]> {
  const full = resolve(folder, path)
  const found = await stat(full).catch(() => null)
  if (found?.isDirectory()) {
    const names = (await readdir(full)).filter(isSource).toSorted()
    return names.map((name) => join(full, name))
  }
  if (!found?.isFile()) {
    throw invalid(`workflows is ${shown(path)}, which does not exist in ${folder}: allowed are files and folders`)
  }
  if (!EXTENSIONS.includes(extname(full))) {
    throw invalid(`workflows is ${shown(path)}: allowed are files that end in ${EXTENSIONS.join(', ')}, and folders`)
  }
  return [full]
}

function isSource(name: string): boolean {
  return EXTENSIONS.includes(extname(name)) && !/\.(d|test)\.[^.]+$/.test(name)
}

async function workflowsOf(file: string, folder: string): Promise<HasDefinition[]> {
  let exported: Record<string, unknown>
  try {
    exported = await import(pathToFileURL(file).href)
  } catch (cause) {
    const reason = cause instanceof Error ? explained(cause, file, folder) : shown(cause)
    throw invalid(`workflow file ${relative(folder, file)} could not be loaded: ${reason}`, cause)
  }
  return Object.values(exported)
    .flatMap((value) => (Array.isArray(value) ? value : [value]) as readonly unknown[]) // isArray gives any[]
    .filter(isWorkflow)
}

function explained(error: Error, file: string, folder: string): string {
  const { path, line } = faultIn(error) ?? frameOf(error, file) ?? {}
  const place = path === undefined ? '' : ` (${relative(folder, path)}:${line})`
  const stripped = 'code' in error && error.code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX' ? `. ${STRIPPED}` : ''
  return `${error.name}: ${error.message}${place}${stripped}`
}

interface Place {
  readonly path: string
  readonly line: string
}

/** Where a fault in the syntax of a file is: Node puts its place before the stack. */
function faultIn({ name, stack = '' }: Error): Place | undefined {
  const [, where = '', line = ''] = /^(.+):(\d+)\n/.exec(stack) ?? []
  if (name !== 'SyntaxError' || line === '') return undefined
  if (where.startsWith('file:')) return { path: fileURLToPath(where), line }
  return isAbsolute(where) ? { path: where, line } : undefined
}

/** Where in a file an error came from; undefined if the file had no part in it. */
function frameOf({ stack = '' }: Error, file: string): Place | undefined {
  const frames = stack.split('\n').filter((text) => text.startsWith('    at '))
  for (const name of [pathToFileURL(file).href, file]) {
    const frame = frames.find((text) => text.includes(`${name}:`))
    const line = frame && /^\d+/.exec(frame.slice(frame.indexOf(`${name}:`) + name.length + 1))?.[0]
    if (line) return { path: file, line }
  }
  return undefined
}

/** By its shape and not its class: what a file imported may be another copy of Kern. */
function isWorkflow(value: unknown): value is HasDefinition {
  if (typeof value !== 'object' || value === null || !('definition' in value)) return false
  const { definition } = value
  return typeof definition === 'object' && definition !== null && 'kind' in definition && definition.kind === 'workflow'
}

function nothingFound(paths: readonly string[], files: number): KernError {
  const where =
    paths.length > 0
      ? `in ${paths.map(shown).join(', ')} (${files} ${files === 1 ? 'file' : 'files'})`
      : 'as no file or folder is given'
  return invalid(
    `no workflow found ${where}: name files that export one, such as ` +
      '`export const pipeline = new Workflow({ … })`, with --workflows or KERN_WORKFLOWS',
  )
}

function invalid(message: string, cause?: unknown): KernError {
  return new KernError('CONFIG_INVALID', message, { cause })
}
