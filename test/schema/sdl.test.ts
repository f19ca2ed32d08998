import { readFile } from 'node:fs/promises'
import {
  type GraphQLNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isSpecifiedScalarType,
  lexicographicSortSchema,
  printSchema,
} from 'graphql'
import { expect, test } from 'vitest'
import { printedSchema, SDL_FILE } from '../../schema/print.ts'
import { schema } from './support.ts'

test('the printed schema is current; `npm run schema` prints it', async () => {
  expect(await readFile(SDL_FILE, 'utf8')).toBe(printedSchema())
})

test('the printed schema is sorted', () => {
  expect(printedSchema()).toBe(`${printSchema(lexicographicSortSchema(schema))}\n`)
})

test('every type, field, argument, enum value and input field has a description', () => {
  const types = Object.values(schema.getTypeMap()).filter(
    (type) => !type.name.startsWith('__') && !isSpecifiedScalarType(type),
  )
  const described = types.flatMap(elementsOf)
  expect(described.length).toBeGreaterThan(400)
  expect(described.filter(({ description }) => !description?.trim()).map(({ name }) => name)).toEqual([])
})

interface Element {
  readonly name: string
  readonly description?: string | null | undefined
}

function elementsOf(type: GraphQLNamedType): Element[] {
  const inside = (name: string, { description }: Element) => ({ name: `${type.name}.${name}`, description })
  const own: Element = type
  if (isEnumType(type)) return [own, ...type.getValues().map((value) => inside(value.name, value))]
  if (isInputObjectType(type))
    return [own, ...Object.values(type.getFields()).map((field) => inside(field.name, field))]
  if (!isObjectType(type) && !isInterfaceType(type)) return [own]
  const fields = Object.values(type.getFields())
  const args = fields.flatMap((field) => field.args.map((arg) => inside(`${field.name}(${arg.name})`, arg)))
  return [own, ...fields.map((field) => inside(field.name, field)), ...args]
}
