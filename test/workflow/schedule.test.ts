import { describe, expect, test } from 'vitest'
import { lastTick, nextTick } from '../../src/workflow/schedule.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { looseWorkflow, refusal } from './support.ts'

const steps = [step('only', () => 1)] as const
const scheduled = (schedule: unknown) => looseWorkflow({ name: 'Report', steps, schedule })

describe('a schedule', () => {
  test('has UTC as its time zone, no input and no session, where nothing else is said', () => {
    const { schedule } = defineWorkflow({ name: 'Report', steps, schedule: { cron: ' 0  9 * * 1-5 ' } })
    expect(schedule).toEqual({ cron: '0 9 * * 1-5', timeZone: 'UTC', sessionId: null })
    expect(Object.isFrozen(schedule)).toBe(true)
  })

  test('is null where there is none, and is no part of the version', () => {
    const without = defineWorkflow({ name: 'Report', steps })
    const daily = defineWorkflow({ name: 'Report', steps, schedule: { cron: '@daily', sessionId: 's', input: [1] } })
    expect(without.schedule).toBeNull()
    expect(daily.version).toBe(without.version)
  })

  const fields = 'allowed are five fields (minute, hour, day of the month, month, day of the week), or @hourly'
  test.each([
    [{ cron: '0 0 9 * * *' }, `cron in the schedule of workflow "Report" is "0 0 9 * * *": ${fields}`],
    [{ cron: '* * * *' }, fields],
    [{ cron: '61 * * * *' }, 'is "61 * * * *": Constraint error, got value 61 expected range 0-59; allowed are five'],
    [{ cron: '0 0 31 2 *' }, 'Invalid explicit day of month'],
    [{ cron: 'H * * * *' }, fields],
    [{ cron: '' }, fields],
    [{ cron: 5 }, `is 5: ${fields}`],
    [{}, fields],
    [{ cron: '@never' }, fields],
    [{ cron: '@daily', timeZone: 'Europe/Bärlin' }, 'allowed is the name of an IANA time zone'],
    [{ cron: '@daily', timeZone: 3 }, 'timeZone in the schedule of workflow "Report" is 3'],
    [
      { cron: '@daily', sessionId: '' },
      'sessionId in the schedule of workflow "Report" is "": allowed is text of 1 to 200',
    ],
    [{ cron: '@daily', sessionId: 'a\n' }, 'allowed is text of 1 to 200'],
    [{ cron: '@daily', input: Number.NaN }, 'input in the schedule of workflow "Report" cannot be stored'],
    [{ cron: '@daily', seconds: 1 }, 'has the unknown option "seconds": allowed are cron, timeZone, input, sessionId'],
    ['@daily', 'schedule of workflow "Report" is "@daily": allowed is an object'],
  ])('of %j is refused, with what is allowed', (schedule, message) => {
    expect(refusal(() => scheduled(schedule))).toContain(message)
  })
})

describe('the times of a schedule', () => {
  const berlin = { cron: '30 2 * * *', timeZone: 'Europe/Berlin' }

  test('are those of its time zone, in summer and winter', () => {
    expect(nextTick(berlin, new Date('2026-01-15T00:00:00Z'))).toEqual(new Date('2026-01-15T01:30:00Z'))
    expect(nextTick(berlin, new Date('2026-07-15T00:00:00Z'))).toEqual(new Date('2026-07-15T00:30:00Z'))
  })

  test('before and after a time: that time itself counts as before', () => {
    const hourly = { cron: '@hourly', timeZone: 'UTC' }
    const full = new Date('2026-05-01T10:00:00Z')
    expect(lastTick(hourly, full)).toEqual(full)
    expect(lastTick(hourly, new Date(full.getTime() - 1))).toEqual(new Date('2026-05-01T09:00:00Z'))
    expect(nextTick(hourly, full)).toEqual(new Date('2026-05-01T11:00:00Z'))
  })
})
