/** The value below which this share of all lies; NaN of none. */
export function share(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  return share(values, 0.5)
}

/** Milliseconds since 1970 with parts, the same in all processes of this machine. */
export function now(): number {
  return performance.timeOrigin + performance.now()
}
