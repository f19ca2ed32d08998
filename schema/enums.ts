import type { BusyPolicy, NameSource, RunEventType, RunStatus, StepStatus } from '../src/engine/records.ts'
import { ERROR_CODES, KernError, shown } from '../src/errors.ts'
import type { Builder } from './builder.ts'
import { PUBLIC_CODES, type PublicCode, STEP_KINDS, type StepKind } from './models.ts'

/** A description for every value. */
type Descriptions<Value extends string> = Readonly<Record<Value, string>>

const RUN_STATUS: Descriptions<RunStatus> = {
  QUEUED: 'Accepted; waits for its turn in the session, or for a worker.',
  RUNNING: 'A worker executes its steps.',
  PAUSED: 'Waits for a person to answer.',
  COMPLETED: 'Ended with an output. Final.',
  FAILED: 'Ended with an error. Final.',
  CANCELLED: 'Ended by a cancel. Final.',
}

const STEP_STATUS: Descriptions<StepStatus> = {
  RUNNING: 'An attempt is under way.',
  RETRYING: 'An attempt failed, and another one follows.',
  PAUSED: 'Waits for a person to answer.',
  COMPLETED: 'Ended with an output. Final.',
  FAILED: 'Ended with an error. Final.',
  SKIPPED: 'Left out. Final.',
  CANCELLED: 'Stopped because the run was cancelled or a sibling failed. Final.',
}

const STEP_KIND: Descriptions<StepKind> = {
  STEP: 'One function.',
  AGENT: 'One call of a language model.',
  SEQUENCE: 'Steps in order, as one.',
  PARALLEL: 'Steps at once.',
  CONDITION: 'One of two branches.',
  ROUTER: 'The branches that a function chooses.',
  LOOP: 'Steps again and again, until a condition holds.',
  MAP: 'The same steps for each item of a list.',
  WORKFLOW: 'Another workflow.',
  APPROVAL: 'Waits for a yes or no.',
  INPUT: 'Waits for data.',
  SLEEP: 'Waits for a time.',
}

const RUN_EVENT_TYPE: Descriptions<RunEventType> = {
  RUN_QUEUED: 'The run was accepted.',
  RUN_STARTED: 'The run began.',
  STEP_STARTED: 'A step began.',
  STEP_RETRYING: 'An attempt of a step failed, and another one follows.',
  STEP_COMPLETED: 'A step ended with an output.',
  STEP_FAILED: 'A step ended with an error.',
  STEP_SKIPPED: 'A step was left out.',
  STATE_CHANGED: "A step changed the session's state.",
  LOG: 'A step wrote a line to the log.',
  CUSTOM: "The author's own; `name` tells which.",
  RUN_PAUSED: 'The run waits for a person.',
  RUN_RESUMED: 'The run goes on after a pause.',
  RUN_COMPLETED: 'The run ended with an output. Final.',
  RUN_FAILED: 'The run ended with an error. Final.',
  RUN_CANCELLED: 'The run was cancelled. Final.',
}

const NAME_SOURCE: Descriptions<NameSource> = {
  MANUAL: 'Somebody gave the name.',
  GENERATED: "Made of the workflow's description and the time.",
}

const BUSY_POLICY: Descriptions<BusyPolicy> = {
  QUEUE: 'Wait for the turn.',
  REJECT: 'Refuse the new run with a conflict.',
  INTERRUPT: 'Cancel the run that has its turn, then wait for the turn, behind those that wait already.',
}

/** Adds every enum. */
export function addEnums(builder: Builder): void {
  const add = (name: string, description: string, values: Descriptions<string>) => {
    const described = Object.entries(values).map(([value, text]) => [value, { description: text }])
    builder.enumType(name, { description, values: Object.fromEntries(described) })
  }
  add('RunStatus', 'Where a run stands. A final status never changes.', RUN_STATUS)
  add('StepStatus', 'Where a step of a run stands. A final status never changes.', STEP_STATUS)
  add('StepKind', 'What a step is.', STEP_KIND)
  add('RunEventType', 'What happened in a run.', RUN_EVENT_TYPE)
  add('NameSource', 'Where the name of a session comes from.', NAME_SOURCE)
  add('BusyPolicy', 'What to do with a new run while the session has one that is not over.', BUSY_POLICY)
  add('ErrorCode', 'Why something was refused.', codeDescriptions())
  add('SessionOrderField', 'What sessions are ordered by.', {
    CREATED_AT: 'When the session was created.',
    UPDATED_AT: 'When the session, or one of its runs, changed last.',
    NAME: 'The display name, in any case.',
  })
  add('RunOrderField', 'What runs are ordered by.', {
    CREATED_AT: 'When the run was accepted.',
    DURATION: 'How long the run took; runs that are not over count as the longest.',
  })
  add('OrderDirection', 'Which end of an order comes first.', {
    ASC: 'The smallest, or the oldest.',
    DESC: 'The largest, or the newest.',
  })
}

function codeDescriptions(): Descriptions<PublicCode> {
  const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
  const described = PUBLIC_CODES.map((code) => [code, sentence(ERROR_CODES[code].meaning)])
  return Object.fromEntries(described)
}

/**
 * The enum value of a kind in lower case, as definitions and rows have it.
 *
 * @throws KernError INTERNAL for a kind that the schema does not know
 */
export function stepKind(kind: string): StepKind {
  const found = STEP_KINDS.find((value) => value === kind.toUpperCase())
  if (!found) throw new KernError('INTERNAL', `a step has the kind ${shown(kind)}: known are ${STEP_KINDS.join(', ')}`)
  return found
}
