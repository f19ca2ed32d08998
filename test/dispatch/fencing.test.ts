import { eq, sql } from 'drizzle-orm'
import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { runs } from '../../src/db/tables.ts'
import { newId } from '../../src/ids.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, eventsOf, runsOf, startKern } from '../support/kerns.ts'

/** A workflow whose step `held` waits at a gate while `holding` is true, and then for its signal if `talking` is. */
function stubborn(name: string) {
  const [gate, left] = [createGate(), Promise.withResolvers<unknown>()]
  const holder = { holding: true, talking: false }
  const outputs: string[] = []
  const held = step('held', async ({ signal, setState, emit, attempt }: StepContext) => {
    if (!holder.holding) return `attempt ${attempt}`
    setState({ by: 'the first' })
    emit('early')
    await gate.pass()
    if (holder.talking) {
      const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve))
      emit('late')
      await aborted
      left.resolve(signal.reason)
    }
    return 'of the first'
  })
  const last = step('last', ({ input }: StepContext<string>) => {
    outputs.push(input)
    return input
  })
  return { workflow: new Workflow({ name, steps: [held, last] }), gate, holder, outputs, aborted: left.promise }
}

onEachDatabase((name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('a run that another worker took', () => {
    test('is aborted here, and nothing of it is recorded from then on', async () => {
      const { workflow, gate, outputs, aborted, holder } = stubborn('Raised')
      const kern = await startKern(database, [workflow], { pollMs: 3_600_000, graceMs: 60_000 })
      const sessionId = newId()
      const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.id, sessionId })
      for await (const { type } of await kern.streams.run(SYSTEM_VIEWER, { runId })) if (type === 'CUSTOM') break
      await gate.reached
      const owner = newId()
      await database.db.execute(
        sql`insert into kern.workers (worker_id, host, pid) values (${owner}::uuid, 'other', 1)`,
      )
      await database.db
        .update(runs)
        .set({ epoch: sql`${runs.epoch} + 1`, owner })
        .where(eq(runs.runId, runId))
      const before = await kern.getRun(runId)
      const events = await eventsOf(kern, runId)
      holder.talking = true
      gate.open()
      expect(await aborted).toMatchObject({ code: 'FENCED' })
      await kern.close()
      expect(await kern.getRun(runId)).toEqual(before)
      expect(await eventsOf(kern, runId)).toEqual(events)
      expect((await kern.getSession({ sessionId }))?.state).toEqual({})
      expect(outputs).toEqual([])

      holder.holding = false
      await database.db.execute(sql`delete from kern.workers where worker_id = ${owner}::uuid`)
      const next = await startKern(database, [workflow], { pollMs: 20 })
      for await (const _event of await next.streams.run(SYSTEM_VIEWER, { runId }));
      expect(await next.getRun(runId)).toMatchObject({ status: 'COMPLETED', output: 'attempt 2', stateAfter: {} })
    })

    test.runIf(name === 'Postgres')(
      'goes on there when this one’s heartbeat stops, and its late result is dropped',
      async () => {
        const { workflow, gate, outputs, holder } = stubborn('Taken over')
        const silent = await startKern(database, [workflow], { heartbeatMs: 3_600_000, pollMs: 3_600_000 })
        const sessionId = newId()
        const running = silent.run(workflow, { sessionId })
        await gate.reached
        holder.holding = false
        // It never beats in this time, so it counts as dead to the second one.
        await startKern(database, [workflow], { leaseMs: 100, pollMs: 20 })
        const run = await running
        expect(run).toMatchObject({ status: 'COMPLETED', output: 'attempt 2', stateAfter: {} })
        gate.open()
        await silent.close()
        expect(outputs).toEqual(['attempt 2'])
        expect(await silent.getRun(run.runId)).toEqual(run)
      },
    )

    test.runIf(name === 'Postgres')('is left alone while the other one lives', async () => {
      const { workflow, gate, outputs } = stubborn('Alive')
      const first = await startKern(database, [workflow], { heartbeatMs: 20 })
      const sessionId = newId()
      const running = first.run(workflow, { sessionId })
      await gate.reached
      const second = await startKern(database, [workflow], { pollMs: 10 })
      const [run] = await runsOf(second, sessionId)
      // A run of the second one passes through everything that could take the first one's.
      const other = new Workflow({ name: 'Other', steps: [step('only', () => 1)] })
      await startKern(database, [other], { pollMs: 10 }).then((kern) => kern.run(other, {}))
      gate.open()
      expect(await running).toMatchObject({ runId: run?.runId, output: 'of the first', attemptCount: 2 })
      expect(outputs).toEqual(['of the first'])
    })

    test.runIf(name === 'Postgres')('is cancelled by a call to any process', async () => {
      const waits = step('waits', ({ signal, emit }: StepContext) => {
        emit('here')
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      })
      const workflow = new Workflow({ name: 'Far', steps: [waits] })
      const [near, far] = [
        await startKern(database, [workflow], { pollMs: 20 }),
        await startKern(database, [workflow], { pollMs: 20 }),
      ]
      const { runId } = await near.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'far' })
      for await (const { type } of await near.streams.run(SYSTEM_VIEWER, { runId })) if (type === 'CUSTOM') break
      const answer = await far.commands.cancelRun(SYSTEM_VIEWER, { runId, reason: 'from far' })
      expect(answer).toMatchObject({ status: 'CANCELLED', cancelReason: 'from far' })
      expect(answer.error?.message).toContain('from far')
    })
  })
})
