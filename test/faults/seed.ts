/** Which faults strike where: KERN_SEED, by default always the same. */
export const SEED = Number(process.env['KERN_SEED'] ?? 20_261_122)

/** Numbers that look random, and are the same for the same seed. */
export interface Chance {
  /** A whole number from `min` to `max`, both included. */
  whole(min: number, max: number): number
  one<T>(list: readonly T[]): T
}

/** @see mulberry32, a generator of 32 bits that is good enough to choose by */
export function createChance(seed: number): Chance {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const whole = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1))
  return {
    whole,
    one(list) {
      const found = list[whole(0, list.length - 1)]
      if (found === undefined) throw new Error('an empty list has nothing to choose from')
      return found
    },
  }
}
