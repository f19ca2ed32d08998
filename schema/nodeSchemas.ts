import type { Json, JsonObject } from '../src/json.ts'
import type { WorkflowNode } from '../src/workflow/definition.ts'
import { jsonSchemaOf } from '../src/workflow/jsonSchema.ts'

/** The JSON Schema of what a node takes; null if it takes anything, or that is not known. */
export function inputSchemaOf(node: WorkflowNode): Json {
  switch (node.kind) {
    case 'step':
    case 'agent':
      return jsonSchemaOf(node.input, 'input')
    case 'workflow':
      return jsonSchemaOf(node.workflow.input, 'input')
    default:
      return null
  }
}

/**
 * The JSON Schema of what a node yields; null if that is not known. That of a list of steps is that of its last one, however
 * deep it stands. Schemas are not put together to larger ones: references inside them would lead astray.
 */
export function outputSchemaOf(node: WorkflowNode | undefined): Json {
  switch (node?.kind) {
    case 'step':
      return jsonSchemaOf(node.output, 'output')
    case 'agent':
      return node.output === null ? { type: 'string' } : jsonSchemaOf(node.output, 'output')
    case 'approval':
      return { ...APPROVAL, properties: { ...APPROVAL_PROPERTIES, input: {} } }
    case 'input':
      return jsonSchemaOf(node.schema, 'output')
    case 'sequence':
    case 'loop':
      return outputSchemaOf(node.steps.at(-1))
    case 'workflow':
      return outputSchemaOf(node.workflow.steps.at(-1))
    case 'parallel':
    case 'condition':
    case 'router':
    case 'map':
    case 'sleep':
    case undefined:
      return null
  }
}

/** The JSON Schema of what a person may answer to a node; null if it asks for nothing. */
export function answerSchemaOf(node: WorkflowNode): Json {
  switch (node.kind) {
    case 'approval':
      return APPROVAL
    case 'input':
      return jsonSchemaOf(node.schema, 'input')
    default:
      return null
  }
}

const APPROVAL_PROPERTIES: JsonObject = { approved: { type: 'boolean' }, comment: { type: 'string' } }

const APPROVAL: JsonObject = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  properties: APPROVAL_PROPERTIES,
  required: ['approved'],
  additionalProperties: false,
}
