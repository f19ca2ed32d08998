import { parse, validate } from 'graphql'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createSchema } from '../../schema/index.ts'
import { exampleTabs } from '../../src/server/examples.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

describe('the operations that GraphiQL opens with', () => {
  test.each(exampleTabs(undefined))('fit the schema: $query', ({ query }) => {
    expect(validate(createSchema(), parse(query))).toEqual([])
  })

  test('run the first workflow with an input that its schema accepts', () => {
    const input = z.object({
      topic: z.string().min(1),
      depth: z.int().min(2),
      kind: z.enum(['short', 'long']),
      tags: z.array(z.string()),
      note: z.string().optional(),
      nested: z.object({ on: z.boolean(), lang: z.string().default('en') }),
    })
    const noop = step({ name: 'noop', run: () => null })
    const tab = exampleTabs(defineWorkflow({ name: 'Example', input, steps: [noop] }))[1]
    const variables = JSON.parse(tab?.variables ?? '')
    expect(variables.input.workflowId).toBe('example')
    expect(input.safeParse(variables.input.input).success).toBe(true)
  })

  test('run a workflow without an input schema with null', () => {
    const noop = step({ name: 'noop', run: () => null })
    const tab = exampleTabs(defineWorkflow({ name: 'Example', steps: [noop] }))[1]
    expect(JSON.parse(tab?.variables ?? '')).toMatchObject({ input: { input: null } })
  })
})
