import { createLoaders } from '../../schema/context.ts'
import type { KernContext } from '../../schema/context.ts'
import type { Commands, EventStreams, Workflows } from '../engine/api.ts'
import type { ReaderFor } from '../engine/reader.ts'
import type { Viewer } from '../viewer.ts'

/** What the server needs of a Kern. */
export interface ServerParts {
  readonly commands: Commands
  readonly workflows: Workflows
  readonly streams: EventStreams
  readonly readerFor: ReaderFor
  /** Whether the database answers. */
  readonly health: () => Promise<boolean>
}

/** Who may do everything: as long as nobody is asked who they are. */
export const ANYONE: Viewer = Object.freeze({ userId: null, scopes: Object.freeze(['*']) })

/**
 * Makes the context of one operation. The only place that does, for HTTP, SSE and WebSocket alike. Loaders are fresh:
 * one operation never sees what another one has loaded.
 */
export function createContext(parts: ServerParts): KernContext {
  const { commands, workflows, streams } = parts
  const reader = parts.readerFor(ANYONE)
  return { viewer: ANYONE, reader, commands, workflows, streams, loaders: createLoaders(reader) }
}
