import type { StepRecord } from './records.ts'
import type { WorkflowNode } from '../workflow/definition.ts'
import type { OutputsByPath } from '../workflow/paths.ts'

/** A step of a run whose output has a known type. */
export interface TypedStep<Output> extends Omit<StepRecord, 'output'> {
  /** Undefined unless the step is COMPLETED. */
  readonly output: Output | undefined
}

/** The steps of a run by path, each undefined if it did not run. */
export type StepsByPath<Steps extends readonly WorkflowNode[]> = {
  readonly [Path in keyof OutputsByPath<Steps>]: TypedStep<OutputsByPath<Steps>[Path]> | undefined
}
