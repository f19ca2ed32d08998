import type { Bell } from './bell.ts'
import type { Reader } from './reader.ts'
import type { Answer, StepRecord } from './records.ts'

/** What people have answered while a run is executed. */
export interface Answers {
  /** How many answers had been given when they were last read. */
  seen(): number
  /** Resolves when there may be new ones. */
  rung(): Promise<void>
  /** Reads new answers into the records. @throws KernError UNAVAILABLE */
  refresh(): Promise<void>
}

export interface AnswersOptions {
  readonly runId: string
  /** How many answers there were when the records were read. */
  readonly seen: number
  readonly bell: Bell
  readonly reader: Reader
  readonly steps: Map<string, StepRecord>
}

export function createAnswers({ runId, seen: before, bell, reader, steps }: AnswersOptions): Answers {
  let seen = before
  return {
    seen: () => seen,
    rung: bell.rung,
    async refresh() {
      // The count first: an answer that comes in between is then read, and read once more.
      const [run] = await reader.runs([runId])
      const [summaries = []] = await reader.stepSummaries([runId])
      for (const { path, answer } of summaries) {
        const record = steps.get(path)
        if (record && answer) steps.set(path, { ...record, answer })
      }
      seen = run?.answers ?? seen
    },
  }
}

/** The answer to what the step waits for now; null if there is none. */
export function answerTo({ pending, answer }: StepRecord): Answer | null {
  return answer && answer.number === pending?.number ? answer : null
}
