import { gql, type TypedDocumentNode } from '@apollo/client'
import type { RunLine, RunParts } from '../shared/view.tsx'

/** A run as the page has it: with the place up to which it is known. */
export type KnownRun = RunParts & { readonly lastCursor: string }

// The query and the events select the same fields: what an event brings is what the query has asked for.
const RUN_PARTS = gql`
  fragment RunParts on Run {
    id
    runId
    status
    workflowName
    lastCursor
    steps {
      id
      path
      status
      outputPreview
    }
  }
`

export const READ_RUN: TypedDocumentNode<{ run: KnownRun | null }, { runId: string }> = gql`
  query ReadRun($runId: ID!) {
    run(runId: $runId) {
      ...RunParts
    }
  }
  ${RUN_PARTS}
`

export const FOLLOW_RUN: TypedDocumentNode<unknown, { runId: string; after: string }> = gql`
  subscription FollowRun($runId: ID!, $after: String) {
    runEvents(runId: $runId, after: $after) {
      cursor
      seq
      type
      run {
        ...RunParts
      }
    }
  }
  ${RUN_PARTS}
`

/** A run, or why there is none. */
interface Started {
  readonly run?: { readonly runId: string }
  readonly message?: string
}

export const START_RUN: TypedDocumentNode<{ runWorkflow: Started }, { workflowId: string; input: unknown }> = gql`
  mutation StartRun($workflowId: String!, $input: JSON) {
    runWorkflow(input: { workflowId: $workflowId, input: $input }) {
      ... on RunPayload {
        run {
          id
          runId
        }
      }
      ... on Error {
        message
      }
    }
  }
`

/** What the list shows. */
export const UNDER_WAY = { filter: { statuses: ['QUEUED', 'RUNNING', 'PAUSED'] } }

const RUN_LINE = gql`
  fragment RunLine on Run {
    id
    runId
    status
    workflowName
  }
`

interface Runs {
  readonly runs: { readonly nodes: readonly RunLine[] }
}

export const READ_RUNS: TypedDocumentNode<Runs, typeof UNDER_WAY> = gql`
  query ReadRuns($filter: RunFilter!) {
    runs(filter: $filter, first: 100) {
      nodes {
        ...RunLine
      }
    }
  }
  ${RUN_LINE}
`

/** What became of one run of the list. */
interface RunChange {
  readonly kind: 'ENTERED' | 'CHANGED' | 'LEFT'
  readonly nodeId: string
  readonly run: RunLine | null
}

interface WatchedRuns {
  readonly runChanged: RunChange
}

export const WATCH_RUNS: TypedDocumentNode<WatchedRuns, typeof UNDER_WAY> = gql`
  subscription WatchRuns($filter: RunFilter!) {
    runChanged(filter: $filter) {
      kind
      nodeId
      run {
        ...RunLine
      }
    }
  }
  ${RUN_LINE}
`

/** The list after a change. That of a run in it is in the cache already. */
export function withChange(read: Runs | null, { kind, nodeId, run }: RunChange): Runs | null {
  if (!read || kind === 'CHANGED') return read
  const others = read.runs.nodes.filter((node) => node.id !== nodeId)
  return { ...read, runs: { ...read.runs, nodes: kind === 'ENTERED' && run ? [run, ...others] : others } }
}
