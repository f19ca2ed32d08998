import { useCallback } from 'react'
import { useClient, useQuery, useSubscription } from 'urql'
import type { Live } from '../shared/live.ts'
import { useReadOnConnection } from '../shared/useReadOnConnection.ts'
import { RunsView } from '../shared/view.tsx'
import { READ_RUNS, UNDER_WAY, WATCH_RUNS } from './operations.ts'

interface RunListProps {
  readonly live: Live
  readonly onOpen: (runId: string) => void
}

/** The runs that are not over: read once on each connection, and then kept right by what is told of them. */
export function RunList({ live, onOpen }: RunListProps) {
  const client = useClient()
  // What it gives is put into the list by the cache: see `updates` in client.ts.
  const [{ error }] = useSubscription({ query: WATCH_RUNS, variables: UNDER_WAY })
  const read = useCallback(async () => {
    const answer = await client.query(READ_RUNS, UNDER_WAY, { requestPolicy: 'network-only' }).toPromise()
    if (answer.error) throw answer.error
  }, [client])
  const trouble = useReadOnConnection(live, read)
  const [{ data }] = useQuery({ query: READ_RUNS, variables: UNDER_WAY, requestPolicy: 'cache-only' })
  return <RunsView runs={data?.runs.nodes ?? []} onOpen={onOpen} trouble={error?.message ?? trouble} />
}
