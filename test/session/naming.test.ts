import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KernError } from '../../src/errors.ts'
import { checkSessionId, checkTimeZone, displayNameOf, generatedName, manualName } from '../../src/session/naming.ts'

function errorOf(call: () => unknown): KernError {
  try {
    call()
  } catch (error) {
    if (error instanceof KernError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const FAMILY = '👨‍👩‍👧‍👦'
const FLAG = '🇩🇪'
const COMBINED = 'e\u0301\u0323'
const STAMP = ' - 2024-11-19 14:30'

function named(description: string | null, options: { workflowName?: string; now?: string; timeZone?: string } = {}) {
  const { workflowName = 'Research Pipeline', now = '2024-11-19T14:30:59.999Z', timeZone = 'UTC' } = options
  return generatedName({ description, workflowName, now: new Date(now), timeZone })
}

describe('manualName', () => {
  test('gives the name without the white space around it', () => {
    expect(manualName(' \n\t\u00a0My  session\u3000\r\n')).toBe('My  session')
  })

  test('accepts 1 to 200 characters, counted as code points after trimming', () => {
    for (const name of ['x', 'x'.repeat(200), '😀'.repeat(200)]) expect(manualName(` ${name} `)).toBe(name)
    for (const name of ['x'.repeat(201), '😀'.repeat(201), '😀'.repeat(200) + 'x', '', ' \n ']) {
      expect(errorOf(() => manualName(name)).code).toBe('INPUT_INVALID')
    }
  })

  test.each(['a\nb', 'a\tb', 'a\0b', 'a\u001bb', 'a\u007fb', 'a\u0085b', 'a\u009fb', 'a\ud800', '\udc00a'])(
    'refuses %j',
    (name) => {
      expect(errorOf(() => manualName(name)).code).toBe('INPUT_INVALID')
    },
  )

  test.each([undefined, null, 12, {}, ['x'], true])('refuses %j, which is not text', (name) => {
    expect(errorOf(() => manualName(name)).message).toContain('sessionName is not text')
  })

  test('names the field, what was received and what is allowed', () => {
    const error = errorOf(() => manualName('a\nb'))
    expect(error.message).toBe(
      'sessionName has a control character: received "a\\nb", allowed are 1 to 200 characters (white space at the ends is dropped)',
    )
    expect(error.details.issues).toEqual([{ path: ['sessionName'], message: error.message }])
  })

  test('accepts each name that it gave', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 250 }), (text) => {
        try {
          const name = manualName(text)
          expect(name).toBe(text.trim())
          expect(manualName(name)).toBe(name)
        } catch (error) {
          if (!(error instanceof KernError)) throw error
        }
      }),
    )
  })
})

describe('checkSessionId', () => {
  test('gives an id back exactly as it was given, with the spaces at its ends', () => {
    for (const id of ['a', ' a ', 'user:42/ö😀', '😀'.repeat(200)]) expect(checkSessionId(id)).toBe(id)
  })

  test.each([undefined, 7, '', 'x'.repeat(201), '😀'.repeat(201), 'a\n', '\0', 'a\u0080', 'a\udfff'])(
    'refuses %j',
    (id) => {
      const error = errorOf(() => checkSessionId(id))
      expect(error.code).toBe('INPUT_INVALID')
      expect(error.details.issues).toEqual([{ path: ['sessionId'], message: error.message }])
    },
  )
})

describe('generatedName', () => {
  test('is the first 37 characters of the description and the minute', () => {
    expect(named('Automated research and analysis pipeline')).toBe(
      'Automated research and analysis pipel - 2024-11-19 14:30',
    )
  })

  test('keeps a description of 37 characters whole, and cuts one of 38', () => {
    expect(named('x'.repeat(37))).toBe(`${'x'.repeat(37)}${STAMP}`)
    expect(named(`${'x'.repeat(37)}y`)).toBe(`${'x'.repeat(37)}${STAMP}`)
    expect(named('short')).toBe(`short${STAMP}`)
  })

  test('keeps a space that the cut leaves at the end', () => {
    expect(named(`${'x'.repeat(36)} yz`)).toBe(`${'x'.repeat(36)} ${STAMP}`)
  })

  test.each([FAMILY, FLAG, COMBINED, '😀', '👍🏽', '각', '❤️'])(
    'counts %s as one character, and never cuts through one',
    (character) => {
      expect(named(character.repeat(37))).toBe(`${character.repeat(37)}${STAMP}`)
      expect(named(character.repeat(38))).toBe(`${character.repeat(37)}${STAMP}`)
      expect(named(`${'x'.repeat(36)}${character}y`)).toBe(`${'x'.repeat(36)}${character}${STAMP}`)
      expect(named(`${'x'.repeat(37)}${character}`)).toBe(`${'x'.repeat(37)}${STAMP}`)
    },
  )

  test.each([null, '', '  \n '])(
    'uses the name of the workflow, cut alike, where the description is %j',
    (description) => {
      expect(named(description)).toBe(`Research Pipeline${STAMP}`)
      expect(named(description, { workflowName: 'w'.repeat(40) })).toBe(`${'w'.repeat(37)}${STAMP}`)
    },
  )

  test('turns line breaks and control characters into spaces, and drops white space around the description', () => {
    expect(named('\n a\r\nb\tc\0d\u2028e \n')).toBe(`a b c d e${STAMP}`)
  })

  test('tells the time of the zone, by 24 hours, with midnight as 00', () => {
    expect(named('x', { now: '2024-01-02T00:05:00Z' })).toBe('x - 2024-01-02 00:05')
    expect(named('x', { now: '2024-06-30T22:07:00Z', timeZone: 'Europe/Berlin' })).toBe('x - 2024-07-01 00:07')
    expect(named('x', { now: '2024-12-31T23:59:59.999Z', timeZone: 'America/New_York' })).toBe('x - 2024-12-31 18:59')
    expect(named('x', { now: '2024-02-28T20:00:00Z', timeZone: 'Asia/Kathmandu' })).toBe('x - 2024-02-29 01:45')
  })

  test('writes the year with four digits', () => {
    expect(named('x', { now: '0987-03-04T05:06:00Z' })).toBe('x - 0987-03-04 05:06')
    expect(named('x', { now: '9999-12-31T23:59:00Z' })).toBe('x - 9999-12-31 23:59')
  })

  test('says in UTC what the ISO form of the time says', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }), (now) => {
        const iso = now.toISOString()
        expect(named('x', { now: iso })).toBe(`x - ${iso.slice(0, 10)} ${iso.slice(11, 16)}`)
      }),
    )
  })

  test('is a valid name, made of whole characters of the description', () => {
    const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })
    const pieces = fc.constantFrom(
      'a',
      ' ',
      '\n',
      '\r',
      '\0',
      '\ud83d',
      '\ude00',
      '\u200d',
      '\u0301',
      FAMILY,
      FLAG,
      COMBINED,
    )
    const description = fc.array(pieces, { minLength: 30, maxLength: 60 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(description, (text) => {
        const name = named(text)
        const subject = name.slice(0, -STAMP.length)
        expect(name.endsWith(STAMP)).toBe(true)
        expect([...segmenter.segment(subject)].length).toBeLessThanOrEqual(37)
        if ([...name].length <= 200) expect(manualName(name)).toBe(name)
      }),
    )
  })
})

describe('displayNameOf', () => {
  test('is the name, else the preview of the first input, else says that the session is new', () => {
    const workflowName = 'Research'
    expect(displayNameOf({ name: 'Mine', firstInputPreview: 'AI', workflowName })).toBe('Mine')
    expect(displayNameOf({ name: null, firstInputPreview: 'AI', workflowName })).toBe('AI')
    for (const firstInputPreview of ['', ' \n', null]) {
      expect(displayNameOf({ name: null, firstInputPreview, workflowName })).toBe('New Research session')
    }
  })
})

describe('checkTimeZone', () => {
  test('gives a zone back that the platform knows', () => {
    for (const zone of ['UTC', 'Europe/Berlin']) expect(checkTimeZone(zone)).toBe(zone)
  })

  test.each(['Mars/Olympus', '', 'utc+x', undefined, 1])('refuses %j and says what is allowed', (zone) => {
    const error = errorOf(() => checkTimeZone(zone))
    expect(error.code).toBe('CONFIG_INVALID')
    expect(error.message).toContain('allowed is the name of an IANA time zone')
  })
})
