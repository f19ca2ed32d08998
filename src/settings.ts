import { type Duration, durationMs } from './clock.ts'
import { KernError, shown } from './errors.ts'

/** Reads the value of a setting, or its text. @throws KernError CONFIG_INVALID */
export type Read<Value> = (name: string, value: unknown) => Value

export function whole(min: number, max: number): Read<number> {
  return (name, value) => {
    const number = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isInteger(number) || number < min || number > max) {
      throw invalid(name, value, `a whole number from ${min} to ${max}`)
    }
    return number
  }
}

export function matching(pattern: RegExp, allowed: string): Read<string> {
  return (name, value) => {
    if (typeof value !== 'string' || !pattern.test(value)) throw invalid(name, value, allowed)
    return value
  }
}

export function oneOf<const Value extends string>(values: readonly Value[]): Read<Value> {
  return (name, value) => {
    for (const allowed of values) if (allowed === value) return allowed
    throw invalid(name, value, values.join(', '))
  }
}

/** Milliseconds, or text such as `30s`: not text without a unit, which people mean as seconds or days. */
export function duration(name: string, value: unknown, max?: number): number {
  try {
    // What is neither of the two is refused.
    return durationMs(name, value as Duration, max)
  } catch (error) {
    throw new KernError('CONFIG_INVALID', error instanceof Error ? error.message : String(error))
  }
}

/** Texts that fit the pattern; as one text separated by commas. */
export function list(pattern: RegExp, allowed: string): Read<readonly string[]> {
  return (name, value) => {
    const items: unknown[] =
      typeof value === 'string' ? value.split(',').map((item) => item.trim()) : Array.isArray(value) ? value : [value]
    const texts = items.filter((item): item is string => typeof item === 'string' && pattern.test(item))
    if (texts.length === items.length) return Object.freeze(texts)
    throw invalid(name, value, `${allowed}, separated by commas`)
  }
}

export function timeZone(name: string, value: unknown): string {
  try {
    if (typeof value !== 'string') throw new TypeError('not text')
    return new Intl.DateTimeFormat('en', { timeZone: value }).resolvedOptions().timeZone
  } catch {
    throw invalid(name, value, 'the name of an IANA time zone, such as Europe/Berlin, or UTC')
  }
}

export function invalid(name: string, value: unknown, allowed: string): KernError {
  return new KernError('CONFIG_INVALID', `${name} is ${shown(value)}: allowed is ${allowed}`)
}
