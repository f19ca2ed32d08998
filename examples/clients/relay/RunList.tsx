import { useCallback, useMemo, useState } from 'react'
import {
  ConnectionHandler,
  fetchQuery,
  graphql,
  useLazyLoadQuery,
  useRelayEnvironment,
  useSubscription,
} from 'react-relay'
import type { RecordSourceSelectorProxy } from 'relay-runtime'
import type { Live } from '../shared/live.ts'
import { useReadOnConnection } from '../shared/useReadOnConnection.ts'
import { RunsView } from '../shared/view.tsx'
import type { RunListReadQuery, RunListReadQuery$variables } from './__generated__/RunListReadQuery.graphql.ts'
import type {
  RunListWatchSubscription,
  RunListWatchSubscription$data,
} from './__generated__/RunListWatchSubscription.graphql.ts'

const READ = graphql`
  query RunListReadQuery($filter: RunFilter!) {
    runs(filter: $filter, first: 100) @connection(key: "RunList_runs") {
      edges {
        node {
          id
          runId
          status
          workflowName
        }
      }
    }
  }
`

const WATCH = graphql`
  subscription RunListWatchSubscription($filter: RunFilter!) {
    runChanged(filter: $filter) {
      kind
      nodeId
      run {
        runId
        status
        workflowName
      }
    }
  }
`

const UNDER_WAY: RunListReadQuery$variables = { filter: { statuses: ['QUEUED', 'RUNNING', 'PAUSED'] } }

interface RunListProps {
  readonly live: Live
  readonly onOpen: (runId: string) => void
}

/** The runs that are not over: read once on each connection, and then kept right by what is told of them. */
export function RunList({ live, onOpen }: RunListProps) {
  const environment = useRelayEnvironment()
  const [refusal, setRefusal] = useState<string>()
  const watching = useMemo(
    () => ({
      subscription: WATCH,
      variables: UNDER_WAY,
      updater: applyChange,
      onError: ({ message }: Error) => setRefusal(message),
    }),
    [],
  )
  useSubscription<RunListWatchSubscription>(watching)
  const read = useCallback(() => fetchQuery<RunListReadQuery>(environment, READ, UNDER_WAY).toPromise(), [environment])
  const trouble = useReadOnConnection(live, read)
  const { runs } = useLazyLoadQuery<RunListReadQuery>(READ, UNDER_WAY, { fetchPolicy: 'store-only' })
  // Until it was read for the first time there is nothing in the store, whatever its type says.
  const nodes = (runs as typeof runs | undefined)?.edges.map(({ node }) => node) ?? []
  return <RunsView runs={nodes} onOpen={onOpen} trouble={refusal ?? trouble} />
}

/** Puts a change into the list. That of a run in it is in the store already. */
function applyChange(
  store: RecordSourceSelectorProxy<RunListWatchSubscription$data>,
  given: RunListWatchSubscription$data | null | undefined,
): void {
  const list = ConnectionHandler.getConnection(store.getRoot(), 'RunList_runs', UNDER_WAY)
  if (!list || !given || given.runChanged.kind === 'CHANGED') return
  // One that is there already would be there twice.
  ConnectionHandler.deleteNode(list, given.runChanged.nodeId)
  const run = store.getRootField('runChanged').getLinkedRecord('run')
  if (given.runChanged.kind === 'ENTERED' && run)
    ConnectionHandler.insertEdgeBefore(list, ConnectionHandler.createEdge(store, list, run, 'RunEdge'))
}
