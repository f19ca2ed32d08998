import { execute, type DocumentNode, type GraphQLError, type GraphQLFormattedError, type GraphQLSchema } from 'graphql'
import type { KernContext } from '../../../schema/context.ts'
import type { Mask } from '../mask.ts'

/** A subscription as a client asked for it. */
export interface Asked {
  readonly document: DocumentNode
  /** The text of the document. */
  readonly query: string
  readonly operationName?: string | null | undefined
  readonly variableValues?: Readonly<Record<string, unknown>> | null | undefined
}

export interface RenderDeps {
  readonly schema: GraphQLSchema
  readonly createContext: () => KernContext
  readonly mask: Mask
}

/** The result of an execution. */
export interface Rendered {
  /** Its JSON text. */
  readonly payload: Buffer
  /** Whether it has `errors`: who comes later may get a better one. */
  readonly isFaulty: boolean
}

/** Executes what was asked for one event. */
export type Render = (asked: Asked, event: unknown) => Promise<Rendered>

export function createRender({ schema, createContext, mask }: RenderDeps): Render {
  return async (asked, event) => {
    const { document, operationName, variableValues } = asked
    const { data, errors } = await execute({
      schema,
      document,
      operationName,
      variableValues,
      rootValue: event,
      // A fresh one: what its loaders give is never older than the event.
      contextValue: createContext(),
    })
    const masked = errors && { errors: errors.map((error) => onWire(mask.error(error, asked))) }
    const payload = Buffer.from(JSON.stringify({ ...masked, ...(data === undefined ? {} : { data }) }))
    return { payload, isFaulty: errors !== undefined }
  }
}

/** The error without the status of an HTTP answer, which means nothing on a stream. */
export function onWire(error: GraphQLError): GraphQLFormattedError {
  const { extensions: { http: _, ...extensions } = {}, ...rest } = error.toJSON()
  return { ...rest, extensions }
}
