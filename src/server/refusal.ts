/** Why a request goes no further than the door. */
export interface Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
}

/** A refusal as a GraphQL client expects an error. */
export function refusalBody({ code, message }: Refusal): object {
  return { errors: [{ message, extensions: { code } }] }
}
