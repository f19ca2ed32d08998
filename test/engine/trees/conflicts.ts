import { isJsonObject, type Json, type JsonObject, jsonEquals } from '../../../src/json.ts'

/** One value that a step wrote to one place of the state; null where it removed what was there. */
export interface Write {
  readonly stepPath: string
  readonly place: readonly string[]
  readonly value: Json
}

/** The single writes of a merge patch. */
export function writesOf(stepPath: string, patch: JsonObject, above: readonly string[] = []): Write[] {
  return Object.entries(patch).flatMap(([key, value]) => {
    const place = [...above, key]
    return isJsonObject(value) && Object.keys(value).length > 0
      ? writesOf(stepPath, value, place)
      : [{ stepPath, place, value }]
  })
}

/** The steps that wrote something else to a place than a step of another branch did, at whatever time. */
export function clashing(branches: readonly (readonly Write[])[]): string[] {
  const clashes = branches.flatMap((branch, index) => {
    const others = branches.filter((_, other) => other !== index).flat()
    return branch.filter((write) => others.some((other) => overlap(write, other) && !same(write, other)))
  })
  return [...new Set(clashes.map(({ stepPath }) => stepPath))]
}

/** Whether one place is the other, or is in it. */
function overlap(a: Write, b: Write): boolean {
  const length = Math.min(a.place.length, b.place.length)
  return a.place.slice(0, length).join() === b.place.slice(0, length).join()
}

function same(a: Write, b: Write): boolean {
  return a.place.length === b.place.length && jsonEquals(a.value, b.value)
}
