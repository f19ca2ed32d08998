import { createHash } from 'node:crypto'
import { canonicalText, type Json, type JsonObject } from '../json.ts'
import type { Schema, WorkflowDefinition, WorkflowNode } from './definition.ts'
import { jsonSchemaOf } from './jsonSchema.ts'

/** What the version and the data of a definition are made from. */
export type Unversioned = Omit<WorkflowDefinition, 'kind' | 'version' | 'nodes' | 'data'>

/**
 * A hash of the structure: ids, kinds, names, order, nesting, settings, and schemas as far as they can be told as JSON
 * Schema. Neither descriptions nor the code of functions count, and a default counts like the same setting given.
 *
 * @returns the first 12 hexadecimal digits of a SHA-256
 */
export function versionOf(definition: Unversioned): string {
  const structure: JsonObject = {
    id: definition.id,
    name: definition.name,
    input: schemaStructure(definition.input, 'input'),
    state: schemaStructure(definition.state, 'input'),
    initialState: definition.initialState,
    addWorkflowHistoryToSteps: definition.addWorkflowHistoryToSteps,
    numHistoryRuns: definition.numHistoryRuns,
    historyBudget: definition.historyBudget?.characters ?? null,
    timeoutMs: definition.timeoutMs,
    steps: definition.steps.map(nodeStructure),
  }
  return createHash('sha256').update(canonicalText(structure)).digest('hex').slice(0, 12)
}

function nodeStructure(node: WorkflowNode): JsonObject {
  switch (node.kind) {
    case 'step':
      return {
        kind: node.kind,
        name: node.name,
        input: schemaStructure(node.input, 'input'),
        output: schemaStructure(node.output, 'output'),
        state: schemaStructure(node.state, 'input'),
        retry: { ...node.retry, retryIf: node.retry.retryIf !== null },
        timeoutMs: node.timeoutMs,
        addWorkflowHistory: node.addWorkflowHistory,
        numHistoryRuns: node.numHistoryRuns,
      }
    case 'sequence':
      return { kind: node.kind, name: node.name, steps: node.steps.map(nodeStructure) }
  }
}

/** A schema that cannot be told as JSON Schema still differs from none. */
function schemaStructure(schema: Schema | null, side: 'input' | 'output'): Json {
  return schema === null ? null : { jsonSchema: jsonSchemaOf(schema, side) }
}

/** The definition as JSON, as a session keeps it: id, name, description, version and the tree of steps. */
export function dataOf(definition: Unversioned, version: string): JsonObject {
  const { id, name, description, steps } = definition
  return Object.freeze({ id, name, description, version, steps: nodesData(steps, '') })
}

function nodesData(nodes: readonly WorkflowNode[], prefix: string): Json {
  return Object.freeze(nodes.map((node) => nodeData(node, prefix + node.name)))
}

function nodeData(node: WorkflowNode, path: string): JsonObject {
  const { kind, name, description } = node
  const data = { kind, name, description, path }
  return Object.freeze(kind === 'step' ? data : { ...data, steps: nodesData(node.steps, `${path}/`) })
}
