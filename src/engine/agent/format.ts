import type * as Sdk from 'ai'
import type { JSONSchema7, OutputInterface } from 'ai'
import { KernError } from '../../errors.ts'
import type { Schema } from '../../workflow/definition.ts'
import { noModelSchema } from '../../workflow/jsonSchema.ts'

/** In which form a model is asked to answer, and how its answer is read. */
export interface AnswerFormat {
  /** For the SDK. */
  readonly output: OutputInterface<unknown, unknown, unknown>
  /** The value in a whole or partial answer; undefined if it is not there, or not yet. */
  read(answer: unknown): unknown
}

/** The property that holds an answer which is no object itself. */
const ANSWER = 'answer'

/**
 * Text where there is no schema, or one of plain text; else JSON. Providers ask for objects only, so every other kind of
 * value stands in one. The answer is not checked by the schema here: that is done with every output of a step.
 *
 * @throws KernError DEFINITION_INVALID if the schema cannot be expressed as JSON Schema
 */
export async function answerFormat(sdk: typeof Sdk, schema: Schema | null, stepPath: string): Promise<AnswerFormat> {
  const json = schema === null ? null : await jsonSchemaOf(sdk, schema, stepPath)
  if (json === null || isPlainText(json)) return { output: sdk.Output.text(), read: (answer) => answer }
  if (json.type === 'object') return { output: objectOf(sdk, json), read: (answer) => answer }
  return { output: objectOf(sdk, inObject(json, stepPath)), read: inAnswer }
}

function objectOf(sdk: typeof Sdk, schema: JSONSchema7): AnswerFormat['output'] {
  return sdk.Output.object({ schema: sdk.jsonSchema(schema) })
}

function isPlainText(schema: JSONSchema7): boolean {
  return schema.type === 'string' && schema.enum === undefined && schema.const === undefined
}

async function jsonSchemaOf(sdk: typeof Sdk, schema: Schema, stepPath: string): Promise<JSONSchema7> {
  try {
    return await sdk.asSchema(schema).jsonSchema
  } catch (error) {
    throw noModelSchema(`output of step "${stepPath}"`, schema, error)
  }
}

function inObject(schema: JSONSchema7, stepPath: string): JSONSchema7 {
  // References count from the root: what they lead to stays there.
  const { $schema, $defs, definitions, ...answer } = schema
  if (JSON.stringify(answer).includes('"$ref":"#"')) {
    throw new KernError(
      'DEFINITION_INVALID',
      `output of step "${stepPath}" is a schema that refers to itself and is no object: allowed is an object that holds it`,
    )
  }
  return {
    ...($schema === undefined ? {} : { $schema }),
    ...($defs === undefined ? {} : { $defs }),
    ...(definitions === undefined ? {} : { definitions }),
    type: 'object',
    properties: { [ANSWER]: answer },
    required: [ANSWER],
    additionalProperties: false,
  }
}

function inAnswer(answer: unknown): unknown {
  return typeof answer === 'object' && answer !== null && ANSWER in answer ? answer[ANSWER] : undefined
}
