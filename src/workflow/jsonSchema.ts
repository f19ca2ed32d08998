import type { StandardJSONSchemaV1 } from '@standard-schema/spec'
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

function hasJsonSchema(schema: Schema): schema is Schema & StandardJSONSchemaV1 {
  const standard = schema['~standard']
  return 'jsonSchema' in standard && typeof standard.jsonSchema === 'object' && standard.jsonSchema !== null
}
