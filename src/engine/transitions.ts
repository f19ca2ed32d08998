import type { RunStatus } from './records.ts'

/** From which statuses each status may be reached. Final statuses are in no list: they never change. */
const SOURCES = {
  QUEUED: [],
  RUNNING: ['QUEUED', 'RUNNING', 'PAUSED'],
  PAUSED: ['RUNNING'],
  COMPLETED: ['RUNNING'],
  FAILED: ['RUNNING'],
  CANCELLED: ['QUEUED', 'RUNNING', 'PAUSED'],
} as const satisfies Record<RunStatus, readonly RunStatus[]>

/** The statuses from which `to` may be reached: the guard of the write that makes the change. */
export function sourcesOf(to: RunStatus): readonly RunStatus[] {
  return SOURCES[to]
}
