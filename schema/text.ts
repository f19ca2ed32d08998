import {
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLSchema,
  getNamedType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
} from 'graphql'
import { KernError, shown } from '../src/errors.ts'
import { isGiven } from './filters.ts'
import { canExist } from './globalId.ts'
import type { Refusal } from './models.ts'

/** The first text inside a value that no row can hold, with the keys that lead to it; null if there is none. */
type Search = (value: unknown) => { readonly path: readonly string[]; readonly text: string } | null

/**
 * Makes every field of a schema refuse text that no row can hold, wherever its arguments take text: with the member of
 * its result union that stands for INPUT_INVALID if it has one, else with an error. The database would answer such text
 * with a fault. JSON values are left to the commands that store them.
 */
export function refuseBrokenText(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue
    for (const field of Object.values(type.getFields())) guard(field)
  }
  return schema
}

function guard(field: GraphQLField<unknown, unknown>): void {
  const search = members(field.args)
  if (!search) return
  const { resolve, subscribe } = field
  const refuse = refusalOf(field)
  if (subscribe) {
    field.subscribe = (root, args, context, info) => {
      const error = brokenText(search, args)
      if (error) throw error
      return subscribe(root, args, context, info)
    }
  } else if (resolve) {
    field.resolve = (root, args, context, info) => {
      const error = brokenText(search, args)
      return error ? refuse(error) : resolve(root, args, context, info)
    }
  }
}

function refusalOf({ type }: GraphQLField<unknown, unknown>): (error: KernError) => Refusal {
  const result = getNamedType(type)
  const hasMember = isUnionType(result) && result.getTypes().some(({ name }) => name === 'InputInvalidError')
  if (hasMember) return (error) => ({ typename: 'InputInvalidError', error })
  return (error) => {
    throw error
  }
}

function brokenText(search: Search, args: unknown): KernError | null {
  const found = search(args)
  if (!found) return null
  // The one argument of a mutation stands for its fields.
  const path = found.path[0] === 'input' ? found.path.slice(1) : found.path
  const message = `is ${shown(found.text)}: allowed is well-formed Unicode without the character NUL`
  return new KernError('INPUT_INVALID', `${path.join('.')} ${message}`, { issues: [{ path, message }] })
}

/** Null where there is no text to search. */
function members(fields: readonly { readonly name: string; readonly type: GraphQLInputType }[]): Search | null {
  const searches = fields.flatMap(({ name, type }) => {
    const search = searchOf(type)
    return search ? [{ name, search }] : []
  })
  if (searches.length === 0) return null
  return (value) => {
    if (!isGiven(value)) return null
    for (const { name, search } of searches) {
      const found = search(Reflect.get(Object(value), name))
      if (found) return { ...found, path: [name, ...found.path] }
    }
    return null
  }
}

function searchOf(type: GraphQLInputType): Search | null {
  if (isNonNullType(type)) return searchOf(type.ofType)
  if (isListType(type)) return items(searchOf(type.ofType))
  if (isInputObjectType(type)) return members(Object.values(type.getFields()))
  if (type.name !== 'String' && type.name !== 'ID') return null
  return (text) => (typeof text === 'string' && !canExist(text) ? { path: [], text } : null)
}

function items(search: Search | null): Search | null {
  if (!search) return null
  return (value) => {
    if (!Array.isArray(value)) return null
    for (const [index, item] of value.entries()) {
      const found = search(item)
      if (found) return { ...found, path: [String(index), ...found.path] }
    }
    return null
  }
}
