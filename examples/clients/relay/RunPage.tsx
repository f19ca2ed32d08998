import { useMemo, useState } from 'react'
import { graphql, useFragment, useLazyLoadQuery, useSubscription } from 'react-relay'
import { RunView } from '../shared/view.tsx'
import type { RunPage_run$key } from './__generated__/RunPage_run.graphql.ts'
import type { RunPageFollowSubscription } from './__generated__/RunPageFollowSubscription.graphql.ts'
import type { RunPageReadQuery } from './__generated__/RunPageReadQuery.graphql.ts'

// The query and the events select the same fields: what an event brings is what the query has asked for.
const RUN = graphql`
  fragment RunPage_run on Run {
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

const READ = graphql`
  query RunPageReadQuery($runId: ID!) {
    run(runId: $runId) {
      ...RunPage_run
    }
  }
`

const FOLLOW = graphql`
  subscription RunPageFollowSubscription($runId: ID!, $after: String) {
    runEvents(runId: $runId, after: $after) {
      cursor
      seq
      type
      run {
        ...RunPage_run
      }
    }
  }
`

/** A run that is read once, and then followed. */
export function RunPage({ runId }: { readonly runId: string }) {
  const { run } = useLazyLoadQuery<RunPageReadQuery>(READ, { runId })
  return run ? <FollowedRun run={run} /> : <p role="alert">There is no such run.</p>
}

/** Shows a run as the store has it. What happens comes into the store, where the fragment sees it. */
function FollowedRun({ run: key }: { readonly run: RunPage_run$key }) {
  const run = useFragment(RUN, key)
  const [trouble, setTrouble] = useState<string>()
  // From the place on that the store had at first: each event moves it, and would be a new subscription.
  const [after] = useState(run.lastCursor)
  const following = useMemo(
    () => ({
      subscription: FOLLOW,
      variables: { runId: run.runId, after },
      onError: ({ message }: Error) => setTrouble(message),
    }),
    [run.runId, after],
  )
  useSubscription<RunPageFollowSubscription>(following)
  return <RunView run={run} trouble={trouble} />
}
