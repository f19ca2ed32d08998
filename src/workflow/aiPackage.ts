import { createRequire } from 'node:module'
import { KernError } from '../errors.ts'

/**
 * Makes sure that the optional package `ai` is installed. It is not loaded: that is for the one who calls a model.
 *
 * @param from the module whose dependencies are looked through
 * @throws KernError DEFINITION_INVALID with what to do
 */
export function needAi(place: string, from: string = import.meta.url): void {
  try {
    createRequire(from).resolve('ai/package.json')
  } catch (error) {
    const message = `${place} needs the package "ai", which is not installed: npm install ai`
    throw new KernError('DEFINITION_INVALID', message, { cause: error })
  }
}
