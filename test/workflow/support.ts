import { expect } from 'vitest'
import { KernError } from '../../src/errors.ts'
import type { Json } from '../../src/json.ts'
import type { Schema } from '../../src/workflow/definition.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

type Untyped = (...given: readonly unknown[]) => unknown

// As from JavaScript, where no compiler refuses what the tests give: hence the `as`.
export const looseStep = step as Untyped
export const looseSequence = sequence as Untyped
export const looseWorkflow = defineWorkflow as Untyped

/** The message with which a definition is refused. */
export function refusal(define: () => unknown): string {
  try {
    define()
  } catch (error) {
    expect(error).toBeInstanceOf(KernError)
    expect(error).toMatchObject({ code: 'DEFINITION_INVALID' })
    return error instanceof KernError ? error.message : ''
  }
  throw new Error('the definition was accepted')
}

/** A schema that accepts everything and says that it is this JSON Schema. */
export function schemaOf(json: Json): Schema {
  const tell = () => json
  const standard = {
    version: 1 as const,
    vendor: 'test',
    validate: (value: unknown) => ({ value }),
    jsonSchema: { input: tell, output: tell },
  }
  return { '~standard': standard }
}
