import type { StepRecord } from '../../../src/engine/records.ts'
import { isJsonObject, type Json } from '../../../src/json.ts'
import type { Watch } from './build.ts'

/** What happened in the functions of a tree, in order, and what was found recorded when a process began. */
export type Entry =
  | { readonly began: string; readonly attempt: number }
  | { readonly asked: string; readonly says: Json }
  /** Paths and places that must not be begun or asked after this. */
  | { readonly recorded: readonly string[] }

/** Keeps a diary of what the functions of a tree do. `note` is to add the entry. */
export function watchOf(diary: readonly Entry[], note: (entry: Entry) => void): Watch {
  return {
    began: ({ path, attempt }) => note({ began: path, attempt }),
    asked: (place, says) => {
      const before = timesAsked(diary, place)
      note({ asked: place, says })
      return before
    },
  }
}

function timesAsked(diary: readonly Entry[], place: string): number {
  return diary.filter((entry) => 'asked' in entry && entry.asked === place).length
}

/** What is recorded of a step: its result, and what it has decided. */
export function recordedOf({ path, kind, decision, completedAt }: StepRecord): string[] {
  const over = completedAt !== null ? [path] : []
  if (decision === undefined) return over
  const iterations = kind === 'loop' && isJsonObject(decision) ? Number(decision['iterations']) : null
  return iterations === null
    ? [...over, path]
    : [...over, ...Array.from({ length: iterations }, (_, index) => `${path}[${index + 1}]`)]
}

/** What was done again, though it was recorded. */
export function repetitionsIn(diary: readonly Entry[]): string[] {
  const recorded = new Set<string>()
  return diary.flatMap((entry) => {
    if ('recorded' in entry) for (const place of entry.recorded) recorded.add(place)
    const place = 'began' in entry ? entry.began : 'asked' in entry ? entry.asked : null
    return place !== null && recorded.has(place) ? [`${place} was recorded, and is done again`] : []
  })
}

/** What was recorded where a function was asked more than once: the model cannot know which answer came so far. */
export function decisionsIn(diary: readonly Entry[], steps: readonly StepRecord[]): Map<string, Json> {
  const again = (place: string) => timesAsked(diary, place) > 1
  const found = new Map<string, Json>()
  for (const { path, decision, kind } of steps) {
    if (decision === undefined) continue
    const places = diary.flatMap((entry) => ('asked' in entry ? [entry.asked] : []))
    const own = kind === 'loop' ? places.filter((place) => place.replace(/\[\d+\]$/, '') === path) : [path]
    if (own.some(again)) found.set(path, decision)
  }
  return found
}
