import { isJsonObject, type Json, jsonEquals, type JsonObject } from '../json.ts'

/**
 * Applies a JSON Merge Patch (RFC 7396): keys replace, null deletes, objects merge, and anything that is not an object
 * takes the target's place. Neither argument is changed; the result may share parts with both.
 */
export function mergePatch(target: Json, patch: Json): Json {
  return isJsonObject(patch) ? mergePatchObject(isJsonObject(target) ? target : {}, patch) : patch
}

function mergePatchObject(target: JsonObject, patch: JsonObject): JsonObject {
  // A map and fromEntries, because assigning to a key named __proto__ would set the prototype.
  const result = new Map(Object.entries(target))
  for (const [key, change] of Object.entries(patch)) {
    if (change === null) result.delete(key)
    else result.set(key, mergePatch(result.get(key) ?? null, change))
  }
  return Object.fromEntries(result)
}

/**
 * Lays one object over another: objects under the same key merge, anything else replaces, and null is a value like any
 * other. Neither argument is changed; the result may share parts with both.
 */
export function deepMerge(base: JsonObject, over: JsonObject): JsonObject {
  const result = new Map(Object.entries(base))
  for (const [key, item] of Object.entries(over)) {
    const below = result.get(key)
    result.set(key, isJsonObject(below) && isJsonObject(item) ? deepMerge(below, item) : item)
  }
  return Object.fromEntries(result)
}

/**
 * The JSON Merge Patch that leads from one state to another: `mergePatch(from, diffPatch(from, to))` equals `to`,
 * provided that `to` was itself made from `from` by merge patches, since no patch can set a key to null.
 */
export function diffPatch(from: JsonObject, to: JsonObject): JsonObject {
  const patch = new Map<string, Json>()
  for (const key of Object.keys(from)) {
    if (!Object.hasOwn(to, key)) patch.set(key, null)
  }
  for (const [key, after] of Object.entries(to)) {
    const before = Object.hasOwn(from, key) ? from[key] : undefined
    if (before !== undefined && jsonEquals(before, after)) continue
    patch.set(key, isJsonObject(before) && isJsonObject(after) ? diffPatch(before, after) : after)
  }
  return Object.fromEntries(patch)
}
