import { Suspense, useState } from 'react'
import { graphql, RelayEnvironmentProvider, useMutation } from 'react-relay'
import { createLive } from '../shared/live.ts'
import { mount } from '../shared/mount.tsx'
import { StartForm } from '../shared/view.tsx'
import type { mainStartMutation } from './__generated__/mainStartMutation.graphql.ts'
import { createEnvironment } from './environment.ts'
import { RunList } from './RunList.tsx'
import { RunPage } from './RunPage.tsx'

const START = graphql`
  mutation mainStartMutation($workflowId: String!, $input: JSON) {
    runWorkflow(input: { workflowId: $workflowId, input: $input }) {
      ... on RunPayload {
        run {
          runId
        }
      }
      ... on Error {
        message
      }
    }
  }
`

const url = new URL('/graphql', location.href).href
const live = createLive(url)

function App() {
  const [runId, setRunId] = useState<string>()
  const [refusal, setRefusal] = useState<string>()
  const [start] = useMutation<mainStartMutation>(START)
  const onStart = (workflowId: string, input: unknown): void => {
    start({
      variables: { workflowId, input },
      onCompleted: ({ runWorkflow }) => {
        setRunId(runWorkflow.run?.runId)
        setRefusal(runWorkflow.message)
      },
      onError: ({ message }) => setRefusal(message),
    })
  }
  return (
    <>
      <StartForm onStart={onStart} refusal={refusal} />
      <RunList live={live} onOpen={setRunId} />
      <Suspense fallback={<p>Loading</p>}>{runId !== undefined && <RunPage key={runId} runId={runId} />}</Suspense>
    </>
  )
}

mount(
  <RelayEnvironmentProvider environment={createEnvironment(url, live)}>
    <App />
  </RelayEnvironmentProvider>,
)
