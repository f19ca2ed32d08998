import { useApolloClient, useQuery, useSubscription } from '@apollo/client/react'
import { useCallback } from 'react'
import type { Live } from '../shared/live.ts'
import { useReadOnConnection } from '../shared/useReadOnConnection.ts'
import { RunsView } from '../shared/view.tsx'
import { READ_RUNS, UNDER_WAY, WATCH_RUNS, withChange } from './operations.ts'

interface RunListProps {
  readonly live: Live
  readonly onOpen: (runId: string) => void
}

/** The runs that are not over: read once on each connection, and then kept right by what is told of them. */
export function RunList({ live, onOpen }: RunListProps) {
  const client = useApolloClient()
  const { error } = useSubscription(WATCH_RUNS, {
    variables: UNDER_WAY,
    onData: ({ data: { data } }) => {
      if (!data) return
      client.cache.updateQuery({ query: READ_RUNS, variables: UNDER_WAY }, (read) => withChange(read, data.runChanged))
    },
  })
  const read = useCallback(
    () => client.query({ query: READ_RUNS, variables: UNDER_WAY, fetchPolicy: 'network-only' }),
    [client],
  )
  const trouble = useReadOnConnection(live, read)
  const { data } = useQuery(READ_RUNS, { variables: UNDER_WAY, fetchPolicy: 'cache-only' })
  return <RunsView runs={data?.runs.nodes ?? []} onOpen={onOpen} trouble={error?.message ?? trouble} />
}
