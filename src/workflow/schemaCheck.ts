import type { StandardSchemaV1 } from '@standard-schema/spec'
import { type InputIssue, shown } from '../errors.ts'
import type { Schema } from './definition.ts'

/** The value as a schema gives it, with defaults and transforms applied; or what is wrong with it. */
export type Checked = { readonly value: unknown } | { readonly issues: readonly InputIssue[] }

/** True for an object or function that carries a validator of the Standard Schema specification, version 1. */
export function isSchema(value: unknown): value is Schema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const standard: unknown = '~standard' in value ? value['~standard'] : null
  if (typeof standard !== 'object' || standard === null) return false
  return (
    'version' in standard && standard.version === 1 && 'validate' in standard && typeof standard.validate === 'function'
  )
}

/**
 * Checks a value by a schema, whether its validator answers at once or later. Without a schema every value fits and
 * stays as it is. Never throws: a validator that does is reported as an issue.
 */
export async function validate(schema: Schema | null, value: unknown): Promise<Checked> {
  if (schema === null) return { value }
  try {
    return checkedOf(await schema['~standard'].validate(value))
  } catch (error) {
    return threw(error)
  }
}

/** Checks a value by a schema that answers at once; null where its validator answers later. Never throws. */
export function validateNow(schema: Schema, value: unknown): Checked | null {
  try {
    const result = schema['~standard'].validate(value)
    if (!('then' in result)) return checkedOf(result)
    // Nobody waits for the answer: it may be what it wants, also an error.
    result.then(undefined, () => {})
    return null
  } catch (error) {
    return threw(error)
  }
}

function checkedOf(result: StandardSchemaV1.Result<unknown>): Checked {
  if (!result.issues) {
    return 'value' in result ? { value: result.value } : failure("the schema's validator gave no value and no issues")
  }
  // Not by map(), which gives lists of the schema library's own classes where it was called on one.
  const issues = Array.from(result.issues, ({ message, path }) => ({ path: Array.from(path ?? [], keyOf), message }))
  return issues.length > 0 ? { issues } : failure("the schema's validator refused the value without saying why")
}

function keyOf(segment: PropertyKey | StandardSchemaV1.PathSegment): string {
  return String(typeof segment === 'object' ? segment.key : segment)
}

function threw(error: unknown): Checked {
  return failure(`the schema's validator threw: ${error instanceof Error ? error.message : shown(error)}`)
}

function failure(message: string): Checked {
  return { issues: [{ path: [], message }] }
}

/** The faults of a value as one line. */
export function faultsText(issues: readonly InputIssue[]): string {
  return issues.map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message)).join('; ')
}
