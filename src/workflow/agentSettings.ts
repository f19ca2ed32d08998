import { deepFreeze, isJsonObject, type JsonObject } from '../json.ts'
import type { AgentSettings } from './definition.ts'
import { type RawOptions, readCount, readJson, refused } from './validate.ts'

/** The options of an agent step that are settings of the model call. */
export const SETTING_KEYS = [
  'temperature',
  'maxOutputTokens',
  'topP',
  'topK',
  'presencePenalty',
  'frequencyPenalty',
  'stopSequences',
  'seed',
  'headers',
  'providerOptions',
] as const satisfies readonly (keyof AgentSettings)[]

const MAX_TOKENS = Number.MAX_SAFE_INTEGER

/**
 * Gathers the settings of a model call from the options of an agent step, as frozen copies. What a number may be differs
 * from model to model: that is for the provider to say.
 *
 * @throws KernError DEFINITION_INVALID
 */
export function readSettings(place: string, options: RawOptions<(typeof SETTING_KEYS)[number]>): AgentSettings {
  const given = <Value>(key: keyof typeof options, read: (place: string, value: unknown) => Value) =>
    options[key] === undefined ? undefined : read(`${key} of ${place}`, options[key])
  return Object.freeze({
    temperature: given('temperature', readNumber),
    maxOutputTokens: readCount(`maxOutputTokens of ${place}`, options.maxOutputTokens, MAX_TOKENS) ?? undefined,
    topP: given('topP', readNumber),
    topK: given('topK', readNumber),
    presencePenalty: given('presencePenalty', readNumber),
    frequencyPenalty: given('frequencyPenalty', readNumber),
    stopSequences: given('stopSequences', readTexts),
    seed: given('seed', readInteger),
    headers: given('headers', readHeaders),
    providerOptions: given('providerOptions', readProviderOptions),
  })
}

function readNumber(place: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw refused(place, value, 'allowed is a number')
  return value
}

function readInteger(place: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    throw refused(place, value, 'allowed is a whole number')
  return value
}

function readTexts(place: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || !value.every(isText)) throw refused(place, value, 'allowed is a list of texts')
  return Object.freeze([...value])
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function readHeaders(place: string, value: unknown): Readonly<Record<string, string>> {
  // Values may be secrets: no message shows them.
  if (typeof value !== 'object' || value === null) throw refused(place, value, 'allowed is an object of texts')
  const headers: Record<string, string> = {}
  for (const [name, text] of Object.entries(value)) {
    if (!isText(text)) throw refused(`${name} in ${place}`, typeof text, 'allowed is text')
    headers[name] = text
  }
  return Object.freeze(headers)
}

function readProviderOptions(place: string, value: unknown): Readonly<Record<string, JsonObject>> {
  const json = readJson(place, value)
  const allowed = 'allowed is an object with an object for each provider'
  if (!isJsonObject(json)) throw refused(place, value, allowed)
  const options: Record<string, JsonObject> = {}
  for (const [provider, settings] of Object.entries(json)) {
    if (!isJsonObject(settings)) throw refused(`${provider} in ${place}`, settings, allowed)
    options[provider] = deepFreeze(settings)
  }
  return Object.freeze(options)
}
