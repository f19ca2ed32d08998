/** The document that all subscribers of the benchmarks send. What tells the ticks apart is in `data`. */
export const TICKS = `subscription ($runId: ID!) {
  runEvents(runId: $runId) { cursor seq type at name run { runId status } data }
}`

/** The name of the events that are measured, and of the field of their data that has their number in the process. */
export const TICK = 'tick'

/** So many ticks of each run or topic, one after the other. */
export interface Burst {
  readonly count: number
  /** From one tick to the next, of one run, in milliseconds. */
  readonly everyMs: number
  /** Of the padding in each tick. */
  readonly bytes: number
}

/** What a server has published. */
export interface Published {
  /** The number of the first tick; the others follow without gaps. */
  readonly first: number
  /** When each was there to be read (committed, where it is stored), in milliseconds since 1970. */
  readonly at: Float64Array
  /** How long each took from being emitted until then, in milliseconds. */
  readonly commitMs: Float64Array
}

/** What subscribers have got: the number of a tick and when it came, in milliseconds since 1970, at the same index. */
export interface Deliveries {
  readonly ticks: Uint32Array
  readonly at: Float64Array
  /** How many subscribers got fewer ticks than they should. */
  readonly short: number
  /** How many ticks came again, or after a later one. They are not among the others. */
  readonly repeated: number
}

export interface Usage {
  /** Processor time of the process so far, user and system, all threads, in milliseconds. */
  readonly cpuMs: number
  /** Resident memory, in bytes. */
  readonly rssBytes: number
  /** The most of it since the last question. */
  readonly peakBytes: number
  readonly heapBytes: number
}

/** Each server of the benchmarks can be asked for these. */
export type ServerOrder =
  /** Collects garbage first where `settled` is given. */
  | { readonly type: 'usage'; readonly settled?: boolean }
  /** Answers with {@link Published} when all ticks are published. */
  | ({ readonly type: 'burst' } & Burst)
