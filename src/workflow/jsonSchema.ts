import type { StandardJSONSchemaV1 } from '@standard-schema/spec'
import { KernError } from '../errors.ts'
import { type Json, storable } from '../json.ts'
import type { Schema } from './definition.ts'

/**
 * A schema as JSON Schema 2020-12, by the Standard JSON Schema interface of its library.
 *
 * @param side `input`: what it accepts; `output`: what it gives after defaults and transforms
 * @returns null where there is no schema, its library has no JSON Schema, or this one cannot be expressed in it
 */
export function jsonSchemaOf(schema: Schema | null, side: 'input' | 'output'): Json {
  if (schema === null || !hasJsonSchema(schema)) return null
  try {
    const given = schema['~standard'].jsonSchema[side]({ target: 'draft-2020-12' })
    // Through text: libraries hang hidden properties of their own on it, which storable() would refuse.
    return storable(JSON.parse(JSON.stringify(given))).value
  } catch {
    // The specification lets a library throw for what it cannot express.
    return null
  }
}

/**
 * Makes sure that a schema can be given to a model: as JSON Schema draft-07 of what it accepts, which the `ai` SDK asks
 * for. Schemas of a zod that has no JSON Schema of its own pass, as the SDK converts them.
 *
 * @throws KernError DEFINITION_INVALID
 */
export function checkModelSchema(place: string, schema: Schema): void {
  const { vendor } = schema['~standard']
  if (!hasJsonSchema(schema)) {
    if (vendor !== 'zod') throw noModelSchema(place, schema, 'it does not tell one')
    return
  }
  try {
    schema['~standard'].jsonSchema.input({ target: 'draft-07' })
  } catch (error) {
    throw noModelSchema(place, schema, error)
  }
}

/** The error for a schema that cannot be given to a model. */
export function noModelSchema(place: string, schema: Schema, cause: unknown): KernError {
  const { vendor } = schema['~standard']
  const advice = vendor === 'valibot' ? '; wrap it in toStandardJsonSchema() of @valibot/to-json-schema' : ''
  const reason = cause instanceof Error ? cause.message : String(cause)
  const message = `${place} is a schema of ${vendor} that cannot be given to a model as JSON Schema: ${reason}${advice}`
  return new KernError('DEFINITION_INVALID', message, { cause })
}

function hasJsonSchema(schema: Schema): schema is Schema & StandardJSONSchemaV1 {
  const standard = schema['~standard']
  return 'jsonSchema' in standard && typeof standard.jsonSchema === 'object' && standard.jsonSchema !== null
}
