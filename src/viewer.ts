/** On whose behalf something is read or written. Every query and command takes one. */
export interface Viewer {
  /** The authenticated person or service; null where nobody was asked. */
  readonly userId: string | null
  /** What the viewer may do; `*` stands for everything. */
  readonly scopes: readonly string[]
}

/** The viewer of code that embeds Kern: it may see and do everything. */
export const SYSTEM_VIEWER: Viewer = Object.freeze({ userId: null, scopes: Object.freeze(['*']) })
