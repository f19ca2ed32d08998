import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { isInputObjectType, parse, validate } from 'graphql'
import { expect, expectTypeOf, test } from 'vitest'
import { createSchema } from '../../schema/index.ts'
import * as client from '../../src/client/index.ts'
import type { RunEventType, RunStatus, StepStatus } from '../../src/engine/records.ts'
import type { InputIssue } from '../../src/errors.ts'
import type { RunWorkflowInput } from '../../src/client/index.ts'
import { bundle } from './bundle.ts'

/** How large the client may be, compressed, in bytes. */
const BUDGET = 5_000

test(`a bundle of it is smaller than ${BUDGET} bytes, with nothing of the server and no package in it`, async () => {
  const { code, files } = await bundle('src/client/index.ts')
  expect(gzipSync(code, { level: 9 }).length).toBeLessThan(BUDGET)
  expect(files.filter((file) => !file.startsWith('src/client/'))).toEqual([])
  expect(code).not.toMatch(/\b(require|process|Buffer|import)\b/)
})

test('it exports what the documents name, and nothing else', async () => {
  expect(Object.keys(client).sort()).toEqual(['KernClientError', 'createKernClient'])
  const { exports, publishConfig } = JSON.parse(await readFile(join(import.meta.dirname, '../../package.json'), 'utf8'))
  expect(exports['./client']).toBe('./src/client/index.ts')
  const dist = './dist/src/client/index'
  expect(publishConfig.exports['./client']).toEqual({ types: `${dist}.d.ts`, default: `${dist}.js` })
})

test('its documents fit the schema', async () => {
  const asked: string[] = []
  const note: typeof fetch = async (_input, init) => {
    asked.push(JSON.parse(String(init?.body)).query)
    return new Response('{"errors":[{"message":"noted"}]}')
  }
  const kern = client.createKernClient({ url: 'http://localhost/graphql', transport: 'sse', fetch: note })
  const selection = 'run { metrics { durationMs } }'
  await expect(kern.watchRun('r', { selection }).next()).rejects.toThrow('noted')
  await expect(kern.watchSession('s', { selection }).next()).rejects.toThrow('noted')
  await expect(kern.runWorkflow({ workflowId: 'w' }, { selection: 'output' })).rejects.toThrow('noted')
  expect(asked).toHaveLength(3)
  for (const document of asked) expect(validate(createSchema(), parse(document))).toEqual([])
})

test('its types of runs, steps and events are those of the server', () => {
  expectTypeOf<client.RunEventType>().toEqualTypeOf<RunEventType>()
  expectTypeOf<client.RunStatus>().toEqualTypeOf<RunStatus>()
  expectTypeOf<client.StepStatus>().toEqualTypeOf<StepStatus>()
  expectTypeOf<client.InputIssue>().toEqualTypeOf<InputIssue>()
})

test('what a run is started with are the fields of the schema', () => {
  const fields: Record<keyof RunWorkflowInput, true> = {
    workflowId: true,
    input: true,
    sessionId: true,
    userId: true,
    sessionName: true,
    sessionState: true,
    metadata: true,
    tags: true,
    idempotencyKey: true,
    onBusy: true,
    priority: true,
    waitMs: true,
  }
  const input = createSchema().getType('RunWorkflowInput')
  expect(isInputObjectType(input) && Object.keys(input.getFields()).sort()).toEqual(Object.keys(fields).sort())
})
