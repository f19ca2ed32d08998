import { createHash } from 'node:crypto'
import { isKernError, KernError, shown } from '../../errors.ts'
import { isUuid } from '../../ids.ts'
import { canonicalText, isJsonObject, type Json, type JsonObject, storable, type ValueLimits } from '../../json.ts'
import type { WorkflowDefinition } from '../../workflow/definition.ts'
import { validate } from '../../workflow/schemaCheck.ts'
import { isPriority, MAX_PRIORITY } from '../../workflow/validate.ts'
import type { RunRequest, Workflows } from '../api.ts'
import type { Reader } from '../reader.ts'
import type { RunRecord } from '../records.ts'

const MAX_TAGS = 50
const MAX_WAIT_MS = 60_000

/** A fault in one argument of a call. */
export function invalid(path: readonly string[], message: string): KernError {
  return new KernError('INPUT_INVALID', `${path.join('.')} ${message}`, { issues: [{ path, message }] })
}

/** @throws KernError NOT_FOUND, with the ids that are served */
export function servedWorkflow(workflows: Workflows, workflowId: string): WorkflowDefinition {
  const definition = workflows.get(workflowId)
  if (definition) return definition
  const served = workflows.list().map(({ id }) => id)
  throw new KernError('NOT_FOUND', `no workflow ${shown(workflowId)} is served: there are ${shown(served)}`)
}

/** @throws KernError INPUT_INVALID, or NOT_FOUND for a run that is not there, or that the reader's viewer may not see */
export async function visibleRun(reader: Reader, runId: string): Promise<RunRecord> {
  if (!isUuid(runId)) {
    throw invalid(['runId'], `is ${shown(runId)}: allowed is the runId of a run, a UUID in lower case`)
  }
  const [run] = await reader.runs([runId])
  if (run) return run
  throw noRun(runId)
}

export function noRun(runId: string): KernError {
  return new KernError('NOT_FOUND', `there is no run ${shown(runId)}`)
}

/** Text of 1 to `max` characters without control characters. @throws KernError INPUT_INVALID */
export function checkText(path: string, value: string, max: number): string {
  const length = [...value].length
  if (length >= 1 && length <= max && value.isWellFormed() && !/\p{Cc}/u.test(value)) return value
  throw invalid([path], `is ${shown(value)}: allowed is text of 1 to ${max} characters without control characters`)
}

/** @throws KernError INPUT_INVALID */
export function checkTags(tags: readonly string[] | undefined): readonly string[] {
  const unique = [...new Set(tags ?? [])]
  if (unique.length > MAX_TAGS) throw invalid(['tags'], `has ${unique.length} entries: allowed are ${MAX_TAGS}`)
  return unique.map((tag) => checkText('tags', tag, 100))
}

/** @throws KernError INPUT_INVALID */
export function checkWait(waitMs: number | undefined): number {
  const ms = waitMs ?? 0
  if (Number.isInteger(ms) && ms >= 0 && ms <= MAX_WAIT_MS) return ms
  throw invalid(['waitMs'], `is ${shown(ms)}: allowed are 0 to ${MAX_WAIT_MS} milliseconds`)
}

/** @throws KernError INPUT_INVALID */
export function checkPriority(priority: number | undefined): number | undefined {
  if (priority === undefined || isPriority(priority)) return priority
  const allowed = `allowed are whole numbers from -${MAX_PRIORITY} to ${MAX_PRIORITY}`
  throw invalid(['priority'], `is ${shown(priority)}: ${allowed}`)
}

/** A value that a caller gave: the same rules as for what steps return. @throws KernError INPUT_INVALID */
export function checkValue(path: string, value: Json | undefined, limits: ValueLimits): Json | undefined {
  if (value === undefined) return undefined
  try {
    return storable(value, limits).value
  } catch (error) {
    if (!isKernError(error)) throw error
    throw new KernError('INPUT_INVALID', `${path}: ${error.message}`, {
      cause: error,
      issues: [{ path: [path], message: error.message }],
    })
  }
}

/** @throws KernError INPUT_INVALID */
export function checkObject(path: string, value: Json | undefined, limits: ValueLimits): JsonObject | undefined {
  const checked = checkValue(path, value, limits)
  if (checked === undefined || isJsonObject(checked)) return checked
  throw invalid([path], `is ${shown(value)}: allowed is a JSON object`)
}

/** The input of a run, against the workflow's schema. @throws KernError INPUT_INVALID with every fault */
export async function checkInput(
  definition: WorkflowDefinition,
  value: Json | undefined,
  limits: ValueLimits,
): Promise<Json | undefined> {
  const input = checkValue('input', value, limits)
  const result = await validate(definition.input, input)
  if (!('issues' in result)) return input
  const issues = result.issues.map(({ path, message }) => ({ path: ['input', ...path], message }))
  const faults = issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
  throw new KernError(
    'INPUT_INVALID',
    `the input does not fit the schema of workflow "${definition.id}": ${faults.join('; ')}`,
    { issues },
  )
}

/** What makes two requests with one idempotency key the same. */
export function requestHash({
  workflowId,
  input,
  sessionId,
}: Pick<RunRequest, 'workflowId' | 'input' | 'sessionId'>): string {
  const request = { workflowId, input: input === undefined ? [] : [input], sessionId: sessionId ?? null }
  return createHash('sha256').update(canonicalText(request)).digest('hex')
}
