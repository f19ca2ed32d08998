import type { Db } from '../db/client.ts'
import { asKernError } from '../db/errors.ts'
import type { Reader, ReaderFor } from '../engine/reader.ts'
import { createEventQueries } from './eventQueries.ts'
import { createRunQueries } from './runQueries.ts'
import { createSessionQueries } from './sessionQueries.ts'
import { createStepQueries } from './stepQueries.ts'

/** Makes readers: each reads on behalf of its viewer, and what that viewer may not see is not there for it. */
export function createReaderFor(db: Db): ReaderFor {
  return (viewer) =>
    translated({
      ...createSessionQueries(db, viewer),
      ...createRunQueries(db, viewer),
      ...createStepQueries(db, viewer),
      ...createEventQueries(db, viewer),
    })
}

/** Failures of the database reach nobody as they are: they name statements and values. */
function translated(reader: Reader): Reader {
  return new Proxy(reader, {
    get(target, name, receiver) {
      const method: unknown = Reflect.get(target, name, receiver)
      if (typeof method !== 'function') return method
      return (...args: unknown[]) => {
        const result: unknown = Reflect.apply(method, target, args)
        if (!(result instanceof Promise)) return result
        return result.catch((error: unknown) => {
          throw asKernError(error)
        })
      }
    },
  })
}
