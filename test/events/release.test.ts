import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import { systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import type { Hub } from '../../src/engine/ports.ts'
import type { EventRecord } from '../../src/engine/records.ts'
import { createHub } from '../../src/events/hub.ts'
import { createEventStreams } from '../../src/events/streams.ts'
import type { Kern } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, type Gate, startKern } from '../support/kerns.ts'

/** A hub that counts who listens: to changes, or to progress. */
function countingHub(): Hub & { readonly listening: () => number; readonly listeningToProgress: () => number } {
  const hub = createHub()
  const changes = new Set<object>()
  const progress = new Set<object>()
  const counted = (set: Set<object>, stop: () => void) => {
    const listener = {}
    set.add(listener)
    return () => {
      stop()
      set.delete(listener)
    }
  }
  return {
    ...hub,
    listening: () => changes.size,
    listeningToProgress: () => progress.size,
    listen: (topic, wake) => counted(changes, hub.listen(topic, wake)),
    listenToProgress: (topic, take) => counted(progress, hub.listenToProgress(topic, take)),
  }
}

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** A run that waits, and streams of it that tell who listens. */
  async function waitingRun(name: string): Promise<{
    kern: Kern
    gate: Gate
    hub: ReturnType<typeof countingHub>
    opened: () => Promise<AsyncIterableIterator<EventRecord>[]>
  }> {
    const gate = createGate()
    const workflow = new Workflow({ name, steps: [step('waits', () => gate.pass().then(() => 1))] })
    const kern = await startKern(database, [workflow])
    const { runId, sessionId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.id })
    await gate.reached
    const hub = countingHub()
    const { workflows, readerFor } = kern
    const streams = createEventStreams({ hub, clock: systemClock, workflows, readerFor })
    const opened = async () => [
      await streams.run(SYSTEM_VIEWER, { runId }),
      await streams.session(SYSTEM_VIEWER, { sessionId }),
      await streams.workflow(SYSTEM_VIEWER, { workflowId: workflow.id }),
    ]
    return { kern, gate, hub, opened }
  }

  describe('a stream that is ended', () => {
    test('before its first event was asked for listens no more', async () => {
      const { gate, hub, opened } = await waitingRun('Unasked')
      const streams = await opened()
      expect([hub.listening(), hub.listeningToProgress()]).toEqual([3, 3])
      for (const stream of streams) expect(await stream.return?.()).toMatchObject({ done: true })
      expect([hub.listening(), hub.listeningToProgress()]).toEqual([0, 0])
      for (const stream of streams) expect(await stream.next()).toMatchObject({ done: true })
      gate.open()
    })

    test('while somebody waits for its next event ends that wait, and listens no more', async () => {
      const { gate, hub, opened } = await waitingRun('Waiting')
      const [run, session] = await opened()
      for (const stream of [run, session]) {
        for (let seq = 1; seq <= 3; seq += 1) expect(await stream?.next()).toMatchObject({ value: { seq } })
        const first = stream?.next()
        const second = stream?.next()
        await stream?.return?.()
        expect([await first, await second]).toMatchObject([{ done: true }, { done: true }])
      }
      expect([hub.listening(), hub.listeningToProgress()]).toEqual([1, 1])
      gate.open()
    })

    test('in the middle of what it has read listens no more', async () => {
      const { gate, hub, opened } = await waitingRun('Middle')
      for (const stream of (await opened()).slice(0, 2)) {
        for await (const { seq } of stream) if (seq === 2) break
        expect(await stream.next()).toMatchObject({ done: true })
      }
      expect([hub.listening(), hub.listeningToProgress()]).toEqual([1, 1])
      gate.open()
    })

    test('by the end of its run listens no more', async () => {
      const { kern, gate, hub, opened } = await waitingRun('Ended')
      const [run] = await opened()
      gate.open()
      const seen = []
      if (run) for await (const { type } of run) seen.push(type)
      expect(seen.at(-1)).toBe('RUN_COMPLETED')
      expect([hub.listening(), hub.listeningToProgress()]).toEqual([2, 2])
      expect(await kern.health()).toBe(true)
    })

    test('and gives no progress has never listened to it', async () => {
      const { kern, gate, hub } = await waitingRun('Completed only')
      const { workflows, readerFor } = kern
      const streams = createEventStreams({ hub, clock: systemClock, workflows, readerFor })
      const types = ['STEP_COMPLETED'] as const
      const stream = await streams.workflow(SYSTEM_VIEWER, { workflowId: 'completed-only', types })
      expect([hub.listening(), hub.listeningToProgress()]).toEqual([1, 0])
      await stream.return?.()
      expect([hub.listening(), hub.listeningToProgress()]).toEqual([0, 0])
      gate.open()
    })

    test('of the library ends at once, although the run goes on', async () => {
      const gate = createGate()
      const workflow = new Workflow({ name: 'Left alone', steps: [step('waits', () => gate.pass().then(() => 'end'))] })
      const kern = await startKern(database, [workflow])
      const stream = kern.stream(workflow, {})
      const { value } = await stream.next()
      for (let seq = 2; seq <= 3; seq += 1) await stream.next()
      const waiting = stream.next()
      await gate.reached
      expect(await stream.return?.()).toMatchObject({ done: true })
      expect(await waiting).toMatchObject({ done: true })
      gate.open()
      const runId = value?.runId ?? ''
      for await (const _event of await kern.streams.run(SYSTEM_VIEWER, { runId }));
      expect(await kern.getRun(runId)).toMatchObject({ status: 'COMPLETED', output: 'end' })
    })

    test('of the library before its first event was asked for starts no run', async () => {
      const workflow = new Workflow({ name: 'Not begun', steps: [step('only', () => 1)] })
      const kern = await startKern(database, [workflow])
      const stream = kern.stream(workflow, {})
      await stream.return?.()
      expect(await stream.next()).toMatchObject({ done: true })
      expect(await kern.readerFor(SYSTEM_VIEWER).runCount({ workflowId: 'not-begun' })).toBe(0)
    })
  })
})
