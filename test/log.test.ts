import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createLog, type LogOptions } from '../src/log.ts'

function collect(options: LogOptions = {}) {
  const chunks: string[] = []
  const output = new Writable({
    write: (chunk, _encoding, done) => {
      chunks.push(String(chunk))
      done()
    },
  })
  const log = createLog({ color: false, ...options, output })
  return { log, output, text: () => chunks.join('') }
}

const HOSTILE = 'a\n\u001b[31mred\u001b[0m\r\u0007\u007f\u009b31m\u202egnp\u2028end\u0000'

describe.each(['json', 'pretty'] as const)('a %s log', (format) => {
  test('lets no control character or direction mark through, in whatever part of a line', () => {
    const { log, text } = collect({ format })
    log.info({ [HOSTILE]: HOSTILE, list: [HOSTILE], deep: { [HOSTILE]: 1 }, time: HOSTILE }, HOSTILE)
    const error = new Error(HOSTILE, { cause: HOSTILE })
    error.name = HOSTILE
    error.stack = `${HOSTILE}\n at ${HOSTILE}`
    log.child({ child: HOSTILE }).error({ err: error }, 'failed')
    expect(text()).toContain('\\u001b')
    expect(text()).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e]/)
  })

  test('cuts long texts and says how long they were', () => {
    const { log, text } = collect({ format })
    log.info({ value: 'x'.repeat(100_000) }, 'y'.repeat(100_000))
    expect(text().length).toBeLessThan(5_000)
    expect(text()).toContain('… (98000 more)')
  })

  test('takes any value: cycles, errors in errors, big integers, getters that throw', () => {
    const { log, text } = collect({ format })
    const cycle: Record<string, unknown> = { big: 1n, symbol: Symbol('s'), fn: () => 1, date: new Date(Number.NaN) }
    cycle['self'] = cycle
    const trap = {
      get boom(): never {
        throw new Error('no')
      },
    }
    log.warn({ cycle, trap, err: new Error('outer', { cause: new Error('inner') }) }, 'all of it')
    for (const part of ['all of it', '[Circular]', 'outer', 'inner']) expect(text()).toContain(part)
  })

  test('writes what is as severe as its level, or more', () => {
    const { log, text } = collect({ format, level: 'warn' })
    log.debug({}, 'one')
    log.info({}, 'two')
    log.warn({}, 'three')
    log.error({}, 'four')
    expect(text()).not.toMatch(/one|two/)
    expect(text()).toMatch(/three[^]*four/)
  })

  test('writes nothing when it is silent', () => {
    const { log, text } = collect({ format, level: 'silent' })
    log.error({}, 'one')
    expect(text()).toBe('')
  })

  test('goes on when the reader of its output went away', () => {
    const { log, output } = collect({ format })
    output.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    output.destroy()
    expect(() => log.info({}, 'still here')).not.toThrow()
  })
})

test('a JSON line has level, time, message and the fields of the log and of its parents', () => {
  const { log, text } = collect({ format: 'json' })
  log.child({ part: 'db' }).info({ ms: 3, err: new RangeError('too far') }, 'done')
  expect(JSON.parse(text())).toMatchObject({
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    msg: 'done',
    part: 'db',
    ms: 3,
    err: { name: 'RangeError', message: 'too far', stack: expect.stringContaining('at ') },
  })
})

test('a pretty line reads from time to fields, with the stack of an error and of its cause below', () => {
  const { log, text } = collect({ format: 'pretty' })
  log.error({ id: 'x-1', note: 'two words', err: new Error('outer', { cause: new Error('inner') }) }, 'It failed')
  const lines = text().split('\n')
  expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} ERROR It failed id=x-1 note="two words"$/)
  expect(lines[1]).toBe('  Error: outer')
  expect(lines).toContain('  caused by')
  expect(lines).toContain('  Error: inner')
})
