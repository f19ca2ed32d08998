import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeGlobalId, encodeGlobalId, NODE_TYPES } from '../../schema/globalId.ts'
import { eventRecord, memoryContext, run, runIdOf, runRecord, sessionRecord, stepRecord } from './support.ts'

const RUN = runIdOf(1)

describe('a global id', () => {
  test('of any session id is read back as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (key) => {
        fc.pre(!key.includes('\0'))
        expect(decodeGlobalId(encodeGlobalId('Session', key))).toEqual({ typename: 'Session', id: key })
      }),
    )
  })

  test('never leads to a key of another form, whatever text it is made of', () => {
    const keys = fc.oneof(
      fc.string(),
      fc.constant(RUN),
      fc.constantFrom(`${RUN}:a/b`, `${RUN}:7`, `${RUN}:07`, `${RUN}:`, `${RUN}:progress:a/b`, `${RUN}:progress:`),
    )
    fc.assert(
      fc.property(fc.constantFrom(...NODE_TYPES), keys, (typename, key) => {
        const allowed = {
          Workflow: key !== '' && !key.includes('\0'),
          Session: key !== '' && !key.includes('\0'),
          Run: key === RUN,
          StepResult: key.startsWith(`${RUN}:`) && key !== `${RUN}:`,
          RunEvent: key === `${RUN}:7` || key === `${RUN}:progress:a/b`,
        }
        const read = () => decodeGlobalId(encodeGlobalId(typename, key))
        if (allowed[typename]) return read().id === key
        expect(read).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }))
        return true
      }),
    )
  })

  test.each([
    ['', 'nothing'],
    ['not base64!', 'other characters'],
    [RUN, 'a plain run id'],
    [Buffer.from('Run').toString('base64url'), 'no key'],
    [encodeGlobalId('Query', 'x'), 'a type without ids'],
    [encodeGlobalId('Session', ''), 'an empty key'],
    [encodeGlobalId('Session', 'a\0b'), 'a session id with NUL'],
    [encodeGlobalId('Run', 'x'), 'a run id that is no UUID'],
    [encodeGlobalId('Run', `${RUN}' or 1=1`), 'SQL'],
    [encodeGlobalId('StepResult', RUN), 'a step without path'],
    [encodeGlobalId('RunEvent', `${RUN}:0`), 'an event before the first'],
    [encodeGlobalId('RunEvent', `${RUN}:99999999999`), 'a number that is too large'],
    [`${encodeGlobalId('Run', RUN)}=`, 'padding'],
  ])('%j (%s) is refused with what is allowed, and reaches no reader', async (id) => {
    const { context, calls } = memoryContext()
    const { errors } = await run('query ($id: ID!) { node(id: $id) { id } }', { context, variables: { id } })
    expect(errors?.[0]?.originalError).toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining('allowed is the id field of a Workflow, Session, Run, StepResult or RunEvent'),
    })
    expect(calls).toEqual([])
  })
})

describe('node', () => {
  const world = {
    sessions: [sessionRecord('s1')],
    runs: [runRecord(1)],
    steps: [stepRecord(RUN, 'finish/write')],
    events: [eventRecord(RUN, 1)],
  }
  const ids = [
    encodeGlobalId('Workflow', 'pipeline'),
    encodeGlobalId('Session', 's1'),
    encodeGlobalId('Run', RUN),
    encodeGlobalId('StepResult', `${RUN}:finish/write`),
    encodeGlobalId('RunEvent', `${RUN}:1`),
  ]

  test('finds an object of every type by the id that the object says it has', async () => {
    const { context } = memoryContext(world)
    const { data } = await run('query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }', {
      context,
      variables: { ids },
    })
    expect(data?.['nodes']).toEqual(NODE_TYPES.map((__typename, index) => ({ __typename, id: ids[index] })))
  })

  test('is null for what does not exist', async () => {
    const { context } = memoryContext()
    const { data, errors } = await run('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', {
      context,
      variables: { ids: [encodeGlobalId('Workflow', 'other'), ...ids.slice(1)] },
    })
    expect(errors).toBeUndefined()
    expect(data?.['nodes']).toEqual([null, null, null, null, null])
  })

  test('finds 100 objects with one call of the reader, and takes no more', async () => {
    const { context, calls } = memoryContext(world)
    const many = (count: number) => Array.from({ length: count }, (_, n) => encodeGlobalId('Run', runIdOf(n)))
    const document = 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }'
    await run(document, { context, variables: { ids: many(100) } })
    expect(calls).toEqual(['runs'])
    const { errors } = await run(document, { context, variables: { ids: many(101) } })
    expect(errors?.[0]?.originalError).toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining('at most 100'),
    })
  })
})
