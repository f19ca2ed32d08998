import { useEffect, useState } from 'react'
import type { Live } from './live.ts'

/**
 * Reads something into the cache on each connection.
 *
 * @param read stays the same function from one call to the next
 * @returns why the last reading came to nothing
 */
export function useReadOnConnection(live: Live, read: () => Promise<unknown>): string | undefined {
  const [trouble, setTrouble] = useState<string>()
  useEffect(
    () =>
      live.readOnConnection(() =>
        read().then(
          () => setTrouble(undefined),
          (error: unknown) => setTrouble(String(error)),
        ),
      ),
    [live, read],
  )
  return trouble
}
