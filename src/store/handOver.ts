import type { Tx } from '../db/client.ts'

/**
 * Called in the transaction by which a run becomes one that a worker can take: if that commits, some process looks at the
 * run soon, whatever becomes of this one.
 */
export type HandOver = (tx: Tx, runId: string) => Promise<void>

/** Where the process itself takes the run, or finds it by looking. */
export const NO_HAND_OVER: HandOver = async () => {}
