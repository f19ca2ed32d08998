import { parse, validate } from 'graphql'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createSchema } from '../../schema/index.ts'
import { exampleTabs } from '../../src/server/examples.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

describe('the operations that GraphiQL opens with', () => {
  test.each(exampleTabs([]))('fit the schema: $query', ({ query }) => {
    expect(validate(createSchema(), parse(query))).toEqual([])
  })

  test('run the workflow with an input that its schema accepts', () => {
    const input = z.object({
      topic: z.string().min(1),
      depth: z.int().min(2),
      kind: z.enum(['short', 'long']),
      tags: z.array(z.string()),
      note: z.string().optional(),
      nested: z.object({ on: z.boolean(), lang: z.string().default('en') }),
    })
    const noop = step({ name: 'noop', run: () => null })
    const tab = exampleTabs([defineWorkflow({ name: 'Example', input, steps: [noop] })])[2]
    const variables = JSON.parse(tab?.variables ?? '')
    expect(variables.input.workflowId).toBe('example')
    expect(input.safeParse(variables.input.input).success).toBe(true)
  })

  test('run a workflow without an input schema with null', () => {
    const noop = step({ name: 'noop', run: () => null })
    const tab = exampleTabs([defineWorkflow({ name: 'Example', steps: [noop] })])[2]
    expect(JSON.parse(tab?.variables ?? '')).toMatchObject({ input: { input: null } })
  })

  test('watch, and then run, the workflow with most steps, the first by id of several such', () => {
    const steps = ['one', 'two', 'three'].map((name) => step({ name, run: () => null }))
    const define = (name: string, count: number) => defineWorkflow({ name, steps: steps.slice(0, count) as never }) // as many
    const [, watch, run] = exampleTabs([define('Ant', 1), define('Cat', 3), define('Bee', 3), define('Dog', 2)])
    expect(watch?.query).toContain('subscription WatchSteps')
    expect(JSON.parse(watch?.variables ?? '')).toEqual({ workflowId: 'bee' })
    expect(run?.query).toContain('mutation RunWorkflow')
    expect(JSON.parse(run?.variables ?? '')).toMatchObject({ input: { workflowId: 'bee' } })
  })
})
