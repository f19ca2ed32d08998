/** Wakes those who wait for something to happen. It carries no data: they look again. */
export interface Bell {
  /** Wakes everyone who waits now. */
  ring(): void
  /** Resolves at the next ring. Ask before looking, so that a ring in between is not missed. */
  rung(): Promise<void>
}

export function createBell(): Bell {
  let next = Promise.withResolvers<void>()
  return {
    ring() {
      next.resolve()
      next = Promise.withResolvers()
    },
    rung: () => next.promise,
  }
}
