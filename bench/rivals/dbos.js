import { DBOS } from '@dbos-inc/dbos-sdk'
import own from './package.json' with { type: 'json' }

const version = own.dependencies['@dbos-inc/dbos-sdk']

/**
 * DBOS Transact: a registered workflow that calls registered steps, called directly, which is its quickest way (no
 * queue). Its defaults, apart from the size of its pool.
 */
export async function create({ url, steps, result, connections }) {
  DBOS.setConfig({
    name: 'bench',
    applicationVersion: 'bench',
    systemDatabaseUrl: url,
    systemDatabasePoolSize: connections,
    logLevel: 'error',
  })
  const all = Array.from({ length: steps }, (_, index) =>
    DBOS.registerStep(async () => result, { name: `step-${index + 1}` }),
  )
  const workflow = DBOS.registerWorkflow(
    async () => {
      let output
      for (const step of all) output = await step()
      return output
    },
    { name: 'bench' },
  )
  await DBOS.launch()
  return {
    title: `DBOS ${version}`,
    run: async () => {
      const { text } = await workflow()
      if (text !== result.text) throw new Error('a run of DBOS gave another result')
    },
    [Symbol.asyncDispose]: () => DBOS.shutdown(),
  }
}
