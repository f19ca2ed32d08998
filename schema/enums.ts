import type {
  BusyPolicy,
  NameSource,
  ResumeAction,
  RunEventType,
  RunStatus,
  StepStatus,
} from '../src/engine/records.ts'
import { ERROR_CODES, KernError, shown } from '../src/errors.ts'
import type { Builder } from './builder.ts'
import { type ConditionBranch, PUBLIC_CODES, type PublicCode, STEP_KINDS, type StepKind } from './models.ts'

/** A description for every value. */
type Descriptions<Value extends string> = Readonly<Record<Value, string>>

const RUN_STATUS: Descriptions<RunStatus> = {
  QUEUED: 'Accepted; waits for its turn in the session, or for a worker.',
  RUNNING: 'A worker executes its steps, or the run waits for a time, or for a worker.',
  PAUSED: 'Waits for a person to answer: see `pendingInput` of its PAUSED steps.',
  COMPLETED: 'Ended with an output. Final.',
  FAILED: 'Ended with an error. Final.',
  CANCELLED: 'Ended by a cancel. Final.',
}

const STEP_STATUS: Descriptions<StepStatus> = {
  RUNNING: 'An attempt is under way; of a step that holds others: they are; of a sleep: it waits.',
  RETRYING: 'An attempt failed, and another one follows.',
  PAUSED: 'Waits for a person to answer, or was answered and goes on soon.',
  COMPLETED: 'Ended with an output. Final.',
  FAILED: 'Ended with an error. Final.',
  SKIPPED: 'Failed and was left out: the next step is given its input. Final.',
  CANCELLED: 'Cut off because the run was cancelled, or a sibling failed or stopped the run. Final.',
}

const STEP_KIND: Descriptions<StepKind> = {
  STEP: 'One function.',
  AGENT: 'One call of a language model.',
  SEQUENCE: 'Steps in order, as one.',
  PARALLEL: 'Steps at the same time. Its output is an object with the output of each by its name.',
  CONDITION: 'One of two lists of steps.',
  ROUTER: 'The steps that a function chooses, in order.',
  LOOP: 'Steps again and again, until a condition holds.',
  MAP: 'The same steps for each item of a list. Its output is the list of outputs.',
  WORKFLOW: 'Another workflow, in the same run.',
  APPROVAL: 'Waits for the yes or no of a person.',
  INPUT: 'Waits for data from a person.',
  SLEEP: 'Waits for a time. Its output is its input.',
}

const RUN_EVENT_TYPE: Descriptions<RunEventType> = {
  RUN_QUEUED: 'The run was accepted.',
  RUN_STARTED: 'The run began.',
  STEP_STARTED: 'An attempt of a step began. `data`: `attempt`, its number.',
  STEP_PROGRESS:
    'A step has a newer partial output, which is `data`. Live only: it is not stored, comes at most 10 times a second for ' +
    'a step, and a client that reads slowly is given the newest only. It comes from the server that executes the run.',
  STEP_RETRYING:
    'An attempt of a step failed, and another one follows. `data`: `attempt`, its number; `delayMs`, the wait before the ' +
    'next one in milliseconds; `error`.',
  STEP_PAUSED:
    'A step waits for a person. `data`: `reason` (`input`: it asks for data; `error`: it failed), `prompt`, and ' +
    '`expiresAt`, when the wait ends by itself, or null.',
  STEP_COMPLETED: 'A step ended with an output.',
  STEP_FAILED: 'A step ended with an error, which is `data`.',
  STEP_SKIPPED: 'A step failed and was left out: the next one is given its input. `data`: the error.',
  STEP_CANCELLED:
    'A step was cut off: the run was cancelled, or a sibling failed or stopped the run. `data`: the error.',
  STATE_CHANGED: "A step changed the session's state. `data`: the JSON Merge Patch.",
  LOG: 'A step wrote a line to the log. `data`: `level`, `message`, and `data` if there is some.',
  CUSTOM: "The author's own: `name` tells which, and `data` is theirs.",
  RUN_PAUSED:
    'The run waits for a person, and nothing in it can go on before. `data`: `waiting`, the paths of what waits.',
  RUN_RESUMED: 'The run goes on after a pause. `step` is the one that was answered; null if a time has come instead.',
  RUN_COMPLETED: 'The run ended with an output. Final.',
  RUN_FAILED: 'The run ended with an error, which is `data`. Final.',
  RUN_CANCELLED: 'The run was cancelled. `data`: the error. Final.',
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

const RESUME_ACTION: Descriptions<ResumeAction> = {
  CONTINUE: 'Answer a step that asks for data: with `data`.',
  RETRY: 'Try a step that failed again, with as many attempts as at first.',
  SKIP: 'Leave a step out that failed: the next one is given its input.',
  FAIL: 'Let a step fail, and the run with it.',
}

const CONDITION_BRANCH: Descriptions<ConditionBranch> = {
  THEN: 'Executed if the condition holds.',
  ELSE: 'Executed if it does not.',
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
  add('ResumeAction', 'What a person may say to a step that waits.', RESUME_ACTION)
  add('ConditionBranch', 'One of the two lists of steps of a condition.', CONDITION_BRANCH)
  add('NameSource', 'Where the name of a session comes from.', NAME_SOURCE)
  add('BusyPolicy', 'What to do with a new run while the session has one that is not over.', BUSY_POLICY)
  add('ErrorCode', 'Why something was refused.', codeDescriptions())
  add('SessionOrderField', 'What sessions are ordered by.', {
    CREATED_AT: 'When the session was created.',
    UPDATED_AT: 'When a run was accepted in the session, or its name, state, metadata or tags changed last.',
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
