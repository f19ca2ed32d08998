import { KernError } from '../errors.ts'
import type { Schema } from '../workflow/definition.ts'
import { faultsText, validate } from '../workflow/schemaCheck.ts'

export interface Checking {
  /** What is checked, for the error. */
  readonly what: string
  readonly code: 'INPUT_INVALID' | 'OUTPUT_INVALID' | 'STATE_INVALID'
}

/** The value as a schema gives it; as it is, where there is none. @throws KernError with the code and every fault */
export async function checked(schema: Schema | null, value: unknown, { what, code }: Checking): Promise<unknown> {
  const result = await validate(schema, value)
  if (!('issues' in result)) return result.value
  throw new KernError(code, `the ${what} does not fit its schema: ${faultsText(result.issues)}`, {
    issues: result.issues,
  })
}
