import type { RunEventType } from '../engine/records.ts'

/** Which events a stream gives; null for all. */
export type Types = readonly RunEventType[] | null

/**
 * The types that have to be read for those that are asked for. Progress is in no row, but its place among the events is
 * known only to who has seen them all.
 */
export function readTypes(types: Types): Types {
  return hasProgress(types) ? null : types
}

export function hasProgress(types: Types): boolean {
  return types?.includes('STEP_PROGRESS') ?? true
}
