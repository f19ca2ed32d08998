/** One way to get five recorded steps: what is measured against each other. */
export interface Contender extends AsyncDisposable {
  readonly name: string
  /** Does one run of five steps, and resolves when all of it is durable. */
  run(): Promise<void>
}

export const STEPS = 5

/** What each step returns: about 200 bytes of JSON. */
export const RESULT = { text: 'x'.repeat(185) }
