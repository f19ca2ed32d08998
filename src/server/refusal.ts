/** Why a request goes no further than the door. */
export interface Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
  /** The limit that was reached, for LIMIT_EXCEEDED. */
  readonly limit?: number
}

/** A refusal as a GraphQL client expects an error. */
export function refusalBody({ code, message, limit }: Refusal): object {
  return { errors: [{ message, extensions: { code, ...(limit !== undefined && { limit }) } }] }
}
