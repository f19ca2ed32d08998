import { useState } from 'react'
import { useQuery, useSubscription } from 'urql'
import { RunView } from '../shared/view.tsx'
import { FOLLOW_RUN, type KnownRun, READ_RUN } from './operations.ts'

/** A run that is read once, and then followed. */
export function RunPage({ runId }: { readonly runId: string }) {
  const [{ data, error }] = useQuery({ query: READ_RUN, variables: { runId } })
  if (error) return <p role="alert">{error.message}</p>
  if (!data) return <p>Loading</p>
  return data.run ? <FollowedRun run={data.run} /> : <p role="alert">There is no such run.</p>
}

/** Shows a run as the cache has it. What happens comes into the cache, where the query above sees it. */
function FollowedRun({ run }: { readonly run: KnownRun }) {
  // From the place on that the cache had at first: each event moves it, and would be a new subscription.
  const [after] = useState(run.lastCursor)
  const [{ error }] = useSubscription({ query: FOLLOW_RUN, variables: { runId: run.runId, after } })
  return <RunView run={run} trouble={error?.message} />
}
