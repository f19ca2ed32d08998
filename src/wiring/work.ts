import { hostname } from 'node:os'
import { checkedAge, DEFAULTS } from '../config.ts'
import { createOwnership, type Ownership } from '../dispatch/ownership.ts'
import { createRetention, type Retention, retentionRules } from '../dispatch/retention.ts'
import { createWorker, type Worker } from '../dispatch/worker.ts'
import { createExecutor } from '../engine/executor.ts'
import type { Journal } from '../engine/ports.ts'
import type { HandOver } from '../store/handOver.ts'
import { createJournal } from '../store/journal.ts'
import { pruneBatch } from '../store/prune.ts'
import { takenRun } from '../store/takenRun.ts'
import { advance, giveLostTurns } from '../store/turns.ts'
import { wakeDue } from '../store/wake.ts'
import { SYSTEM_VIEWER } from '../viewer.ts'
import type { Commons } from './commons.ts'
import { unchanged } from './pace.ts'

/** A wait for a time that is longer than this frees the place of its run, in milliseconds. */
const PARK_MS = 5_000

/** What executes runs, and what records them. */
export interface Work {
  readonly worker: Worker | null
  readonly retention: Retention | null
  readonly journal: Journal
  /** Leaves a run to whoever has a place for it. */
  readonly handOver: HandOver
}

export function wireWork(commons: Commons): Work {
  const { options, queue, db, clock, log } = commons
  let worker: Worker | null = null
  const handOver: HandOver = (tx, runId) => queue?.handOver(worker)(tx, runId) ?? Promise.resolve()
  const journal = wireJournal(commons, handOver)
  if (options.role === 'api') return { worker, retention: null, journal, handOver }
  worker = wireWorker(commons, journal, handOver)
  const { retentionMs } = options
  const commonMs = retentionMs === undefined ? null : checkedAge('retentionMs', retentionMs)
  const rules = retentionRules(options.workflows.list(), commonMs)
  const retention = createRetention({ rules, prune: (old) => pruneBatch(db, old), clock, log })
  return { worker, retention, journal, handOver }
}

function wireJournal({ database, db, tamper, clock, closing, queue }: Commons, handOver: HandOver): Journal {
  const journal = createJournal({
    flushes: (tamper.flushes ?? unchanged)(database.journal),
    db,
    advance: (sessionId) => advance(db, sessionId, handOver),
    clock,
    random: Math.random,
    closing: closing.signal,
  })
  const tampered = (tamper.journal ?? unchanged)(journal)
  return queue?.reminding(tampered) ?? tampered
}

function wireWorker(commons: Commons, journal: Journal, handOver: HandOver): Worker {
  const { options, database, pace, db, clock, log, limits, graceMs, hints, hub, readerFor } = commons
  const ownership = wireOwnership(commons)
  const reader = readerFor(SYSTEM_VIEWER)
  return createWorker({
    ownership,
    load: (runId) => takenRun(db, reader, { runId, owner: ownership.workerId }),
    giveLostTurns: () => giveLostTurns(db, handOver),
    wakeDue: (at) => wakeDue(db, at, hub.publish),
    executor: createExecutor({
      journal,
      readerFor,
      hub,
      clock,
      limits,
      graceMs,
      parkMs: pace.parkMs ?? PARK_MS,
      overrides: pace.overrides ?? new Map(),
      random: Math.random,
    }),
    workflows: options.workflows,
    concurrency: options.concurrency ?? DEFAULTS.concurrency,
    drainMs: options.drainMs ?? DEFAULTS.drainMs,
    graceMs,
    leaseMs: pace.leaseMs,
    exclusive: database.kind === 'pglite',
    heartbeatMs: pace.heartbeatMs,
    pollMs: pace.pollMs,
    maxDeaths: pace.maxDeaths,
    hints,
    clock,
    log,
  })
}

function wireOwnership({ id, options, database, pace, tamper, queue }: Commons): Ownership {
  const ownership = createOwnership({
    db: (tamper.reserved ?? unchanged)(database.reserved),
    heartbeats: (tamper.heartbeats ?? unchanged)(database.heartbeats),
    workerId: id,
    host: hostname(),
    pid: process.pid,
    exclusive: database.kind === 'pglite',
    definitions: options.workflows.list(),
    leaseMs: pace.leaseMs,
  })
  const tampered = (tamper.ownership ?? unchanged)(ownership)
  return queue?.announcing(tampered) ?? tampered
}
