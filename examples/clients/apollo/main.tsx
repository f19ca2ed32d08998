import { ApolloProvider, useMutation } from '@apollo/client/react'
import { useState } from 'react'
import { createLive } from '../shared/live.ts'
import { mount } from '../shared/mount.tsx'
import { StartForm } from '../shared/view.tsx'
import { createApolloClient } from './client.ts'
import { START_RUN } from './operations.ts'
import { RunList } from './RunList.tsx'
import { RunPage } from './RunPage.tsx'

const url = new URL('/graphql', location.href).href
const live = createLive(url)

function App() {
  const [runId, setRunId] = useState<string>()
  const [start, { data, error }] = useMutation(START_RUN, {
    onCompleted: ({ runWorkflow }) => setRunId(runWorkflow.run?.runId),
  })
  return (
    <>
      <StartForm
        onStart={(workflowId, input) => void start({ variables: { workflowId, input } })}
        refusal={error?.message ?? data?.runWorkflow.message}
      />
      <RunList live={live} onOpen={setRunId} />
      {runId !== undefined && <RunPage key={runId} runId={runId} />}
    </>
  )
}

mount(
  <ApolloProvider client={createApolloClient(url, live)}>
    <App />
  </ApolloProvider>,
)
