import { describe, expect, test } from 'vitest'
import type { StepProgress, Topic } from '../../src/engine/ports.ts'
import { createHub } from '../../src/events/hub.ts'

const change = { runId: 'r1', sessionId: 's1', workflowId: 'w1', settled: false }
const progressOf = (given: Partial<StepProgress> = {}): StepProgress => ({
  runId: 'r1',
  path: 'a',
  sessionId: 's1',
  workflowId: 'w1',
  number: 1,
  seq: 3,
  at: new Date(0),
  partialOutput: 'so far',
  ...given,
})

const topics: readonly Topic[] = [{ runId: 'r1' }, { sessionId: 's1' }, { workflowId: 'w1' }]
const others: readonly Topic[] = [{ runId: 's1' }, { sessionId: 'w1' }, { workflowId: 'r1' }, { runId: 'r2' }]

describe('the hub', () => {
  test.each(topics)('tells listeners to %j of progress and of changes, each of their own', (topic) => {
    const hub = createHub()
    const [changes, progress]: unknown[][] = [[], []]
    hub.listen(topic, (told) => changes?.push(told))
    hub.listenToProgress(topic, (told) => progress?.push(told))
    hub.publish(change)
    hub.progress(progressOf())
    hub.progress(progressOf({ partialOutput: undefined }))
    expect(changes).toEqual([change])
    expect(progress).toEqual([progressOf(), progressOf({ partialOutput: undefined })])
  })

  test('tells nobody of what is not theirs, and nobody who has stopped to listen', () => {
    const hub = createHub()
    const told: unknown[] = []
    for (const topic of others) hub.listenToProgress(topic, (progress) => told.push(progress))
    for (const topic of topics) hub.listenToProgress(topic, (progress) => told.push(progress))()
    hub.progress(progressOf())
    expect(told).toEqual([])
  })

  test('tells everyone, also one who listens twice with the same function', () => {
    const hub = createHub()
    const told: unknown[] = []
    const take = (progress: StepProgress) => void told.push(progress.partialOutput)
    const [topic = { runId: 'r1' }] = topics
    const stops = [hub.listenToProgress(topic, take), hub.listenToProgress(topic, take)]
    hub.progress(progressOf())
    stops[0]?.()
    hub.progress(progressOf({ partialOutput: 'more' }))
    expect(told).toEqual(['so far', 'so far', 'more'])
  })
})

describe('the partial output of a step', () => {
  test('is the newest that was told, and is that of this step only', () => {
    const hub = createHub()
    expect(hub.partialOutput({ runId: 'r1', path: 'a' })).toBeUndefined()
    hub.progress(progressOf())
    hub.progress(progressOf({ partialOutput: { text: 'more' } }))
    hub.progress(progressOf({ path: 'b', partialOutput: null }))
    expect(hub.partialOutput({ runId: 'r1', path: 'a' })).toEqual({ text: 'more' })
    expect(hub.partialOutput({ runId: 'r1', path: 'b' })).toBeNull()
    expect(hub.partialOutput({ runId: 'r2', path: 'a' })).toBeUndefined()
  })

  test('is forgotten when the step has ended, and those of its siblings are not', () => {
    const hub = createHub()
    hub.progress(progressOf())
    hub.progress(progressOf({ path: 'b', partialOutput: 1 }))
    hub.progress(progressOf({ partialOutput: undefined }))
    expect(hub.partialOutput({ runId: 'r1', path: 'a' })).toBeUndefined()
    expect(hub.partialOutput({ runId: 'r1', path: 'b' })).toBe(1)
  })
})
