/** Where a command writes to. Results go to `out`; errors, usage and progress to `err`. */
export interface Terminal {
  out(text: string): void
  err(text: string): void
}
