import type { Clock } from '../clock.ts'
import { isKernError } from '../errors.ts'
import { type Json, storable, type ValueLimits } from '../json.ts'
import { createProgress, type Progress } from './progress.ts'

/** The partial outputs of the steps of a run that are under way. */
export interface Partials {
  /** It is checked only if it is published or asked for, and left out if it cannot be stored: it must not change later. */
  push(path: string, value: unknown): void
  /** Whether a step has told any since it began. */
  isOpen(path: string): boolean
  /** The newest of a step; undefined if it has none. */
  newest(path: string): Json | undefined
  /** The step has ended, or begins again. */
  end(path: string): void
  /** Nothing of the run is under way any more. */
  endAll(): void
}

export interface PartialsOptions {
  readonly clock: Clock
  readonly limits: ValueLimits
  /** Called at most ten times a second for each step, and with undefined when it has ended. */
  readonly publish: (path: string, value: Json | undefined) => void
}

export function createPartials({ clock, limits, publish }: PartialsOptions): Partials {
  const open = new Map<string, Progress>()
  const read = (value: unknown) => storableOrNone(value, limits)
  const end = (path: string) => {
    const progress = open.get(path)
    if (!progress) return
    progress.end()
    open.delete(path)
    publish(path, undefined)
  }
  return {
    push(path, value) {
      const progress = open.get(path) ?? createProgress({ clock, read, publish: (newest) => publish(path, newest) })
      open.set(path, progress)
      progress.push(value)
    },
    isOpen: (path) => open.has(path),
    newest: (path) => open.get(path)?.newest(),
    end,
    endAll() {
      for (const path of open.keys()) end(path)
    },
  }
}

/** A stream may be cut in the middle of a character: the next partial output has the whole of it. */
function storableOrNone(value: unknown, limits: ValueLimits): Json | undefined {
  try {
    return storable(value, limits).value
  } catch (error) {
    if (isKernError(error)) return undefined
    throw error
  }
}
