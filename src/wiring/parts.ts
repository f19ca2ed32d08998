import { systemClock } from '../clock.ts'
import { DEFAULTS } from '../config.ts'
import type { Database } from '../db/client.ts'
import { createElsewhere } from '../dispatch/elsewhere.ts'
import type { Queue } from '../dispatch/queue.ts'
import type { Retention } from '../dispatch/retention.ts'
import type { Worker } from '../dispatch/worker.ts'
import type { Commands, EventStreams } from '../engine/api.ts'
import type { CommandDeps } from '../engine/commands/commandDeps.ts'
import { createCommands } from '../engine/commands/commands.ts'
import { createStartCommand } from '../engine/commands/startCommand.ts'
import { NO_HINTS } from '../engine/hints.ts'
import { createLibrary, type Library } from '../engine/library.ts'
import type { ReaderFor } from '../engine/reader.ts'
import { type Carrier, createCarrier } from '../events/carrier.ts'
import { createHub } from '../events/hub.ts'
import { createEventStreams } from '../events/streams.ts'
import { newId } from '../ids.ts'
import { DEFAULT_LIMITS, type ValueLimits } from '../json.ts'
import { createCommandStore } from '../store/commandStore.ts'
import { createOwnTransactions } from '../store/ownTransaction.ts'
import { createReaderFor } from '../store/reader.ts'
import { wakeDue } from '../store/wake.ts'
import type { Commons, WireOptions } from './commons.ts'
import type { KernOptions } from './options.ts'
import { unchanged } from './pace.ts'
import { wireWork } from './work.ts'

const DEFAULT_GRACE_MS = 10_000

/** What a Kern is wired of. */
export interface Parts {
  /** Null where runs are executed by other processes. */
  readonly worker: Worker | null
  readonly wakeDue: () => Promise<void>
  /** Null where there is no worker. */
  readonly retention: Retention | null
  readonly commands: Commands
  readonly streams: EventStreams
  readonly readerFor: ReaderFor
  readonly library: Library
  /** Between this process and others; null where there are no others. */
  readonly carrier: Carrier | null
  readonly closing: AbortController
}

export function limitsOf({ maxValueBytes }: Pick<KernOptions, 'maxValueBytes'>): ValueLimits {
  return { ...DEFAULT_LIMITS, maxBytes: maxValueBytes ?? DEFAULT_LIMITS.maxBytes }
}

export function wire(options: WireOptions, database: Database, queue: Queue | null): Parts {
  const { pace = {}, clock = systemClock, log } = options
  const { tamper = {} } = pace
  const db = (tamper.db ?? unchanged)(database.db)
  const id = newId()
  const { listen } = database
  const carrier =
    listen && (pace.hints ?? true) ? createCarrier({ db, listen, id, clock, log, random: Math.random }) : null
  const hints = (tamper.hints ?? unchanged)(carrier ?? NO_HINTS)
  const commons: Commons = {
    id,
    options,
    database,
    queue,
    pace,
    tamper,
    db,
    clock,
    log,
    limits: limitsOf(options),
    graceMs: options.graceMs ?? DEFAULT_GRACE_MS,
    hints,
    hub: (tamper.hub ?? unchanged)(createHub(hints)),
    readerFor: createReaderFor(db),
    closing: new AbortController(),
  }
  const work = wireWork(commons)
  const { worker } = work
  hints.listen((hint) => {
    worker?.hinted(hint)
    if (hint.type === 'waiting' || hint.type === 'missed') queue?.wake()
  })
  return { ...wireCalls(commons, work), ...work, carrier, readerFor: commons.readerFor, closing: commons.closing }
}

/** What callers reach: commands, streams, and the library over both. */
function wireCalls(
  { options, db, tamper, clock, limits, graceMs, hints, hub, readerFor, closing: { signal: closing } }: Commons,
  { worker, journal, handOver }: ReturnType<typeof wireWork>,
): Pick<Parts, 'commands' | 'streams' | 'library' | 'wakeDue'> {
  const { workflows } = options
  const own = createOwnTransactions(db)
  const deps: CommandDeps = {
    workflows,
    store: (tamper.store ?? unchanged)(createCommandStore(db, own, handOver)),
    journal,
    readerFor,
    dispatcher: worker ?? createElsewhere(hints),
    hub,
    clock,
    newId,
    limits,
    timeZone: options.timeZone ?? DEFAULTS.timeZone,
    graceMs,
    closing,
  }
  const commands = createCommands(deps)
  const streams = createEventStreams({ hub, readerFor, workflows, clock, closing })
  const library = createLibrary({
    commands,
    streams,
    readerFor,
    hub,
    clock,
    closing,
    startIn: createStartCommand(deps),
    async transaction(work) {
      const result = await own.transaction(work)
      // Runs may have been started in it. An embedded database tells nobody of them.
      worker?.hinted({ type: 'waiting' })
      return result
    },
  })
  return { commands, streams, library, wakeDue: () => wakeDue(db, clock.now(), hub.publish) }
}
