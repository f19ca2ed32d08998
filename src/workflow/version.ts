import { createHash } from 'node:crypto'
import { canonicalText, type Json, type JsonObject, storable } from '../json.ts'
import type { AgentNode, Computed, Schema, WaitNode, WorkflowDefinition, WorkflowNode, WorkNode } from './definition.ts'
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
  const { kind, name } = node
  switch (node.kind) {
    case 'step':
      return { kind, name, ...workStructure(node) }
    case 'agent':
      return { kind, name, ...workStructure(node), ...agentStructure(node) }
    case 'sequence':
      return { kind, name, steps: structures(node.steps) }
    case 'parallel':
      return { kind, name, steps: structures(node.steps), concurrency: node.concurrency, failFast: node.failFast }
    case 'condition':
      return { kind, name, thenSteps: structures(node.then), elseSteps: structures(node.else) }
    case 'router':
      return { kind, name, choices: structures(node.choices) }
    case 'loop': {
      const { maxIterations, carry } = node
      return { kind, name, steps: structures(node.steps), until: node.until !== null, maxIterations, carry }
    }
    case 'map':
      return { kind, name, steps: structures(node.steps), items: node.items !== null, concurrency: node.concurrency }
    case 'workflow':
      return { kind, name, workflow: { id: node.workflow.id, version: node.workflow.version }, history: node.history }
    case 'approval':
      return { kind, name, ...waitStructure(node), onTimeout: node.onTimeout }
    case 'input': {
      const schema = schemaStructure(node.schema, 'input')
      return { kind, name, ...waitStructure(node), schema, onTimeout: node.onTimeout && { ...node.onTimeout } }
    }
    case 'sleep':
      return { kind, name, durationMs: node.durationMs }
  }
}

function structures(nodes: readonly WorkflowNode[]): Json {
  return nodes.map(nodeStructure)
}

function workStructure(node: WorkNode): JsonObject {
  return {
    input: schemaStructure(node.input, 'input'),
    output: schemaStructure(node.output, 'output'),
    state: schemaStructure(node.state, 'input'),
    retry: { ...node.retry, retryIf: node.retry.retryIf !== null },
    timeoutMs: node.timeoutMs,
    // Left out by default: steps are older than this setting, and what did not change keeps its version.
    ...(node.onError === 'fail' ? {} : { onError: node.onError }),
    addWorkflowHistory: node.addWorkflowHistory,
    numHistoryRuns: node.numHistoryRuns,
  }
}

function agentStructure(node: AgentNode): JsonObject {
  const { headers, ...settings } = node.settings
  return {
    model: computed(node.model, (model) => (typeof model === 'string' ? model : [model.provider, model.modelId])),
    system: computed(node.system, asItIs),
    prompt: computed(node.prompt, asItIs),
    messages: computed(node.messages, (messages) => messages.map(({ role }) => role)),
    tools: computed(node.tools, (tools) => Object.keys(tools).sort()),
    maxSteps: node.maxSteps,
    // Headers may carry keys, which change without a change of the workflow: their names alone count.
    settings: storable({ ...settings, headers: headers && Object.keys(headers).sort() }).value,
  }
}

function waitStructure(node: WaitNode): JsonObject {
  return { prompt: computed(node.prompt, asItIs), timeoutMs: node.timeoutMs }
}

/** A function counts as being there; a value by what is told of it. */
function computed<Value>(given: Computed<Value> | null, tell: (value: Value) => Json): Json {
  if (given === null) return null
  return typeof given === 'function' ? { function: true } : tell(given)
}

const asItIs = (text: string): Json => text

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
  return Object.freeze({ kind, name, description, path, ...belowData(node, `${path}/`) })
}

function belowData(node: WorkflowNode, prefix: string): JsonObject {
  switch (node.kind) {
    case 'step':
    case 'agent':
    case 'approval':
    case 'input':
    case 'sleep':
      return {}
    case 'sequence':
    case 'parallel':
    case 'loop':
    case 'map':
      return { steps: nodesData(node.steps, prefix) }
    case 'condition':
      return { then: nodesData(node.then, prefix), else: nodesData(node.else, prefix) }
    case 'router':
      return { choices: nodesData(node.choices, prefix) }
    case 'workflow': {
      const { id, version, steps } = node.workflow
      return { workflowId: id, workflowVersion: version, steps: nodesData(steps, prefix) }
    }
  }
}
