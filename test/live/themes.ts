import type { Row } from './evidence.ts'
import type { Followed } from './follower.ts'

/** What clients ask for of each event, and may ask for more. */
const EVENT = 'id cursor seq type at name data'

/** What a client follows, and which of the rows it is given. */
export interface Theme {
  readonly followed: Followed
  readonly isOf: (row: Row) => boolean
  /** Null if it is a run. */
  readonly sessionId: string | null
}

/** How many events there are at least while connections are cut, and how many of them are ends of steps. */
export interface Least {
  readonly events: number
  readonly ends: number
  /** What else is asked for. @default nothing */
  readonly more?: string
}

const NONE: Least = { events: 0, ends: 0 }

const isEnd = ({ type }: Row): boolean => type === 'STEP_COMPLETED'

/** Three of four follow all of it. */
export function themesOfRun(runId: string, { events, ends, more = '' }: Least = NONE): Theme[] {
  const subscription = (field: string) => (after: string | null) => ({
    query: `subscription ($runId: ID!, $after: String) { event: ${field}(runId: $runId, after: $after) { ${EVENT} ${more} } }`,
    variables: { runId, after },
  })
  const all: Theme = {
    followed: { subscription: subscription('runEvents'), ends: true, events },
    isOf: (row) => row.runId === runId,
    sessionId: null,
  }
  const steps: Theme = {
    followed: { subscription: subscription('stepCompleted'), ends: true, events: ends },
    isOf: (row) => row.runId === runId && isEnd(row),
    sessionId: null,
  }
  return [all, all, all, steps]
}

export function themesOfSession(sessionId: string, { events, ends, more = '' }: Least = NONE): Theme[] {
  const subscription = (field: string) => (after: string | null) => ({
    query: `subscription ($sessionId: String!, $after: String) {
      event: ${field}(sessionId: $sessionId, after: $after) { ${EVENT} ${more} } }`,
    variables: { sessionId, after },
  })
  const all: Theme = {
    followed: { subscription: subscription('sessionEvents'), ends: false, events },
    isOf: (row) => row.sessionId === sessionId,
    sessionId,
  }
  const steps: Theme = {
    followed: { subscription: subscription('stepCompleted'), ends: false, events: ends },
    isOf: (row) => row.sessionId === sessionId && isEnd(row),
    sessionId,
  }
  return [all, steps]
}
