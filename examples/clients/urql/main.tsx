import { useState } from 'react'
import { Provider, useMutation } from 'urql'
import { createLive } from '../shared/live.ts'
import { mount } from '../shared/mount.tsx'
import { StartForm } from '../shared/view.tsx'
import { createUrqlClient } from './client.ts'
import { START_RUN } from './operations.ts'
import { RunList } from './RunList.tsx'
import { RunPage } from './RunPage.tsx'

const url = new URL('/graphql', location.href).href
const live = createLive(url)

function App() {
  const [runId, setRunId] = useState<string>()
  const [{ data, error }, start] = useMutation(START_RUN)
  const onStart = async (workflowId: string, input: unknown): Promise<void> => {
    const answer = await start({ workflowId, input })
    setRunId(answer.data?.runWorkflow.run?.runId)
  }
  return (
    <>
      <StartForm
        onStart={(workflowId, input) => void onStart(workflowId, input)}
        refusal={error?.message ?? data?.runWorkflow.message}
      />
      <RunList live={live} onOpen={setRunId} />
      {runId !== undefined && <RunPage key={runId} runId={runId} />}
    </>
  )
}

mount(
  <Provider value={createUrqlClient(url, live)}>
    <App />
  </Provider>,
)
