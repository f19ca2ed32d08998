import type { Json } from '../json.ts'

/** What the history block shows of a run. */
export interface HistoryEntry {
  /** undefined: the run had none, and its line is left out. */
  readonly input: Json | undefined
  readonly output: Json | undefined
}

/** How long the history block may be. */
export interface HistoryBudget {
  /** UTF-16 units of the whole block, its tags included. */
  readonly characters: number
}

const OPEN = '<workflow_history_context>\n'
const CLOSE = '</workflow_history_context>\n'

/**
 * Earlier runs, oldest first, as the text block that a step is given; '' for no runs.
 *
 * Invariant: whatever text the runs hold, the block can be read back into exactly these inputs and outputs. For that,
 * `&`, `<` and `>` become references everywhere, and so does the first letter of a line that looks like one of the
 * block's own (see {@link escaped}). Every other character stands as it is.
 */
export function renderHistory(runs: readonly HistoryEntry[]): string {
  if (runs.length === 0) return ''
  return OPEN + runs.map((run, index) => header(index + 1) + body(run)).join('\n') + CLOSE
}

/** The newest of these runs, oldest first, whose block is within the budget (null: all); none if the last one alone is too long. */
export function withinBudget<Run extends HistoryEntry>(
  runs: readonly Run[],
  budget: HistoryBudget | null,
): readonly Run[] {
  if (budget === null) return runs
  let length = OPEN.length + CLOSE.length
  let kept = 0
  for (const run of runs.toReversed()) {
    // With one run more, the highest number is one higher, and all but the first run have an empty line before them.
    length += header(kept + 1).length + body(run).length + (kept > 0 ? 1 : 0)
    if (length > budget.characters) break
    kept += 1
  }
  return runs.slice(runs.length - kept)
}

/** A step's text with the history block before it and an empty line between; the text alone if there is no block. */
export function withHistory(text: string, block: string): string {
  return block === '' ? text : `${block}\n${text}`
}

function header(number: number): string {
  return `[Workflow Run-${number}]\n`
}

function body({ input, output }: HistoryEntry): string {
  return line('User input: ', input) + line('Workflow output: ', output)
}

function line(label: string, value: Json | undefined): string {
  if (value === undefined) return ''
  return `${label}${escaped(typeof value === 'string' ? value : JSON.stringify(value))}\n`
}

const REFERENCES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

/** How each line of the block begins that is neither a tag nor empty. */
const MARKS = /\[Workflow Run-|User input:|Workflow output:/g

/**
 * A mark at the start of a line, white space before it or not, gets its first letter as a numeric reference, so that a
 * text cannot continue as another run. The start of the text itself needs none: it stands behind a label. No text can
 * hold a reference of its own, since `&` is escaped: so each one that is found was put there here.
 */
function escaped(text: string): string {
  return text
    .replace(/[&<>]/g, (character) => REFERENCES[character] ?? character)
    .replace(MARKS, (mark, offset: number, whole: string) =>
      startsLine(whole, offset) ? `&#${mark.charCodeAt(0)};${mark.slice(1)}` : mark,
    )
}

/** Every character that a reader may take for the end of a line: LF, VT, FF, CR, FS, GS, RS, NEL, LS, PS. */
const LINE_BREAKS = '\n\v\f\r\u001c\u001d\u001e\u0085\u2028\u2029'

/** Looks back from a mark over white space only, so that a long text costs no more than its length. */
function startsLine(text: string, offset: number): boolean {
  for (let index = offset - 1; index >= 0; index -= 1) {
    const character = text.charAt(index)
    if (LINE_BREAKS.includes(character)) return true
    if (!/\s/.test(character)) return false
  }
  return false
}
