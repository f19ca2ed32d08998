import { isJsonObject, type Json } from '../json.ts'
import type { WorkflowDefinition } from '../workflow/definition.ts'
import { jsonSchemaOf } from '../workflow/jsonSchema.ts'

/** An operation that GraphiQL opens with. */
export interface ExampleTab {
  readonly query: string
  readonly variables?: string
}

const LIST_WORKFLOWS = `# Which workflows there are, with the steps of each.
query ListWorkflows {
  workflows {
    workflowId
    name
    description
    inputSchema
    steps {
      path
      kind
    }
  }
}
`

const WATCH_STEPS = `# Start this, then run the workflow (the next tab) in a second
# window: here is always the step that was done last.
subscription WatchSteps($workflowId: String!) {
  stepCompleted(workflowId: $workflowId) {
    seq
    at
    run {
      runId
      status
    }
    step {
      path
      outputPreview
      durationMs
    }
  }
}
`

const RUN_WORKFLOW = `# Starts a run and waits for its end, ten seconds at most.
# The same sessionId again is the next run of the session.
mutation RunWorkflow($input: RunWorkflowInput!) {
  runWorkflow(input: $input) {
    ... on RunPayload {
      run {
        runId
        number
        status
        output
        error {
          message
          stepPath
        }
        steps {
          path
          status
          durationMs
        }
      }
    }
    ... on Error {
      code
      message
    }
  }
}
`

const NAME_SESSION = `# Names the session after its workflow. With sessionName
# instead of autogenerate it gets a name of your own.
mutation NameSession($input: SetSessionNameInput!) {
  setSessionName(input: $input) {
    ... on SessionPayload {
      session {
        sessionId
        name
        nameSource
      }
    }
    ... on Error {
      code
      message
    }
  }
}
`

const READ_SESSION = `# A session: its state, its latest runs, and the history
# that the next run would be given.
query ReadSession($sessionId: String!) {
  session(sessionId: $sessionId) {
    displayName
    state
    runCount
    historyContext
    runs(first: 5) {
      nodes {
        number
        status
        inputPreview
        outputPreview
        createdAt
      }
    }
  }
}
`

const SESSION_ID = 'my-first-session'

/**
 * The operations that a first visit begins with: they can be executed as they stand. They are made for the workflow that
 * has most to watch: the one with most steps, by id the first of several such.
 */
export function exampleTabs(workflows: readonly WorkflowDefinition[]): ExampleTab[] {
  const [workflow] = workflows.toSorted((a, b) => b.nodes.length - a.nodes.length || (a.id < b.id ? -1 : 1))
  const workflowId = workflow?.id ?? ''
  const input = { workflowId, sessionId: SESSION_ID, input: exampleInput(workflow), waitMs: 10_000 }
  return [
    { query: LIST_WORKFLOWS },
    { query: WATCH_STEPS, variables: shown({ workflowId }) },
    { query: RUN_WORKFLOW, variables: shown({ input }) },
    { query: NAME_SESSION, variables: shown({ input: { sessionId: SESSION_ID, autogenerate: true } }) },
    { query: READ_SESSION, variables: shown({ sessionId: SESSION_ID }) },
  ]
}

function shown(variables: object): string {
  return JSON.stringify(variables, null, 2)
}

function exampleInput(workflow: WorkflowDefinition | undefined): Json {
  return exampleOf(jsonSchemaOf(workflow?.input ?? null, 'input'), 'some text')
}

/** A value that a simple JSON Schema accepts; for others one that shows its shape. */
function exampleOf(schema: Json | undefined, text: string): Json {
  if (!isJsonObject(schema)) return null
  const { type, properties, required, items, minimum, anyOf, oneOf } = schema
  for (const given of [first(schema['examples']), schema['default'], schema['const'], first(schema['enum'])]) {
    if (given !== undefined) return given
  }
  const alternative = first(anyOf) ?? first(oneOf)
  if (alternative !== undefined) return exampleOf(alternative, text)
  switch (Array.isArray(type) ? type[0] : type) {
    case 'object': {
      const names = Array.isArray(required) ? required.map(String) : []
      const members = isJsonObject(properties) ? properties : {}
      return Object.fromEntries(names.map((name) => [name, exampleOf(members[name], `a ${name}`)]))
    }
    case 'array':
      return [exampleOf(items, text)]
    case 'string':
      return text
    case 'number':
    case 'integer':
      return typeof minimum === 'number' ? minimum : 1
    case 'boolean':
      return true
    default:
      return null
  }
}

function first(list: Json | undefined): Json | undefined {
  return Array.isArray(list) ? list[0] : undefined
}
