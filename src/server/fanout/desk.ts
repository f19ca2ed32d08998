/** Calls back in a turn of the event loop of its own. */
export type Desk = (ask: () => void) => void

/**
 * A stream that has passed an event resolves its `next` some microtasks later. Between turns of the event loop none are
 * left: a call of `next` that was not answered has passed nothing, and the place of the stream is exact.
 */
export function createDesk(): Desk {
  let asking: (() => void)[] = []

  function serve(): void {
    const asked = asking
    asking = []
    for (const ask of asked) ask()
  }

  return (ask) => {
    asking.push(ask)
    if (asking.length === 1) setImmediate(serve)
  }
}
