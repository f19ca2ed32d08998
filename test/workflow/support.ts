import { expect } from 'vitest'
import { KernError } from '../../src/errors.ts'
import type { Json } from '../../src/json.ts'
import { agentStep } from '../../src/workflow/agentStep.ts'
import { approval } from '../../src/workflow/approval.ts'
import { condition } from '../../src/workflow/condition.ts'
import type { Schema } from '../../src/workflow/definition.ts'
import { loop } from '../../src/workflow/loop.ts'
import { map } from '../../src/workflow/map.ts'
import { nested } from '../../src/workflow/nested.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { router } from '../../src/workflow/router.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { sleep } from '../../src/workflow/sleep.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

type Untyped = (...given: readonly unknown[]) => unknown

// As from JavaScript, where no compiler refuses what the tests give: hence the `as`.
export const looseStep = step as Untyped
export const looseAgentStep = agentStep as Untyped
export const looseSequence = sequence as Untyped
export const looseParallel = parallel as Untyped
export const looseCondition = condition as Untyped
export const looseRouter = router as Untyped
export const looseLoop = loop as Untyped
export const looseMap = map as Untyped
export const looseNested = nested as Untyped
export const looseApproval = approval as Untyped
export const looseWaitForInput = waitForInput as Untyped
export const looseSleep = sleep as Untyped
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

/** A schema of zod as a version has it that tells no JSON Schema: the `ai` SDK makes that by itself. */
export function olderZod<Given extends Schema>(schema: Given): Given {
  const { version, vendor, validate } = schema['~standard']
  // Everything else of it is inherited, hence the `as`.
  return Object.create(schema, { '~standard': { value: { version, vendor, validate } } }) as Given
}

/** Where a value that Kern made is not frozen. Schemas and functions are the author's. */
export function thawed(value: unknown, place: string): string[] {
  if (typeof value !== 'object' || value === null || '~standard' in value) return []
  const below = Object.entries(value).flatMap(([key, item]) => thawed(item, `${place}.${key}`))
  return Object.isFrozen(value) ? below : [place, ...below]
}
