import type { FormEvent } from 'react'

/** What the page shows of a step. */
export interface StepParts {
  readonly id: string
  readonly path: string
  readonly status: string
  readonly outputPreview: string | null | undefined
}

/** What the page shows of a run. */
export interface RunParts {
  readonly runId: string
  readonly status: string
  readonly workflowName: string
  readonly steps: readonly StepParts[]
}

/** What the page shows of a run in a list. */
export interface RunLine {
  readonly id: string
  readonly runId: string
  readonly status: string
  readonly workflowName: string
}

interface StartFormProps {
  /** Given the id of a workflow and the input as it was typed, parsed. */
  readonly onStart: (workflowId: string, input: unknown) => void
  /** Why the last start came to nothing. */
  readonly refusal: string | undefined
}

/** Asks what to run. */
export function StartForm({ onStart, refusal }: StartFormProps) {
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault()
    const fields = new FormData(event.currentTarget)
    onStart(String(fields.get('workflow')), JSON.parse(String(fields.get('input'))))
  }
  return (
    <form onSubmit={submit}>
      <input name="workflow" aria-label="Workflow" defaultValue="report" />{' '}
      <input name="input" aria-label="Input" size={40} defaultValue='{ "document": "gettysburg", "pauseMs": 1500 }' />{' '}
      <button type="submit">Run</button>
      {refusal !== undefined && <p role="alert">{refusal}</p>}
    </form>
  )
}

interface RunViewProps {
  readonly run: RunParts
  /** Why the run is no longer followed. */
  readonly trouble: string | undefined
}

/** A run with its steps. */
export function RunView({ run, trouble }: RunViewProps) {
  return (
    <section aria-label="Run">
      <h2>
        {run.workflowName}: <output>{run.status}</output>
      </h2>
      <ol>
        {run.steps.map(({ id, path, status, outputPreview }) => (
          <li key={id}>
            <code>{path}</code> <b>{status}</b> {outputPreview}
          </li>
        ))}
      </ol>
      {trouble !== undefined && <p role="alert">{trouble}</p>}
    </section>
  )
}

interface RunsViewProps {
  readonly runs: readonly RunLine[]
  readonly onOpen: (runId: string) => void
  /** Why the list is no longer kept right. */
  readonly trouble: string | undefined
}

/** Runs that are not over. */
export function RunsView({ runs, onOpen, trouble }: RunsViewProps) {
  return (
    <nav aria-label="Under way">
      <h2>Under way</h2>
      <ul>
        {newestFirst(runs).map(({ id, runId, status, workflowName }) => (
          <li key={id}>
            <button type="button" onClick={() => onOpen(runId)}>
              {workflowName} {runId}
            </button>{' '}
            <b>{status}</b>
          </li>
        ))}
      </ul>
      {trouble !== undefined && <p role="alert">{trouble}</p>}
    </nav>
  )
}

/** In the order in which the server lists them: the ids of runs are made of the time. */
function newestFirst(runs: readonly RunLine[]): RunLine[] {
  return runs.toSorted((a, b) => (a.runId < b.runId ? 1 : -1))
}
