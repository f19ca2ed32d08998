import { readFile } from 'node:fs/promises'
import {
  buildClientSchema,
  getIntrospectionQuery,
  type IntrospectionQuery,
  lexicographicSortSchema,
  printSchema,
} from 'graphql'
import { serverAudits } from 'graphql-http'
import { describe, expect, test } from 'vitest'
import { data, onEachServer } from '../support/server.ts'
import { createFlows } from './flows.ts'

const options = { workflows: createFlows().workflows }

onEachServer(
  () => options,
  (served) => {
    describe('GraphQL over HTTP', () => {
      // The list of audits does not depend on the server; each test makes its own with the server's address.
      const names = serverAudits({ url: 'http://127.0.0.1' }).map(({ id, name }) => [id, name] as const)

      test('has every audit that there is', () => {
        expect(names.length).toBeGreaterThanOrEqual(61)
        for (const level of ['MUST', 'SHOULD', 'MAY']) {
          expect(names.some(([, name]) => name.startsWith(level))).toBe(true)
        }
      })

      test.each(names)('%s: %s', async (id) => {
        const audit = serverAudits({ url: served().url }).find((candidate) => candidate.id === id)
        const result = await audit?.fn()
        expect(result).toMatchObject({ status: 'ok' })
      })
    })

    test('the whole schema is served, as it is printed', async () => {
      const introspection = await data<IntrospectionQuery>(served(), getIntrospectionQuery())
      const schema = lexicographicSortSchema(buildClientSchema(introspection))
      expect(`${printSchema(schema)}\n`).toBe(await readFile('schema/schema.graphql', 'utf8'))
    })
  },
)
