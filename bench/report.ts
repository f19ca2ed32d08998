/** A line on the screen, with the others of its table in columns. */
export type Cells = readonly string[]

/** Prints a table: the first column to the left, all others to the right. */
export function printTable(title: string, rows: readonly Cells[]): void {
  const columns = Math.max(...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)))
  console.log(`\n${title}`)
  for (const row of rows) {
    const cells = row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
    console.log(`  ${cells.join('  ')}`.trimEnd())
  }
}

/** A number as tables have it; a dash where there is none. */
export function figure(value: number, digits = 0): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '–'
}

/** What a figure should be. */
export interface Target {
  readonly what: string
  readonly value: number
  readonly atLeast?: number
  readonly atMost?: number
  readonly unit: string
  readonly digits?: number
}

/** Prints which targets were reached. A figure that was not measured is neither. */
export function printTargets(targets: readonly Target[]): void {
  if (targets.length === 0) return
  const rows = targets.map((target) => {
    const { what, value, unit, digits = 2, atLeast, atMost } = target
    const bound = atLeast === undefined ? `≤ ${atMost} ${unit}` : `≥ ${atLeast} ${unit}`
    return [what, `${figure(value, digits)} ${unit}`.trimEnd(), bound.trimEnd(), verdict(target)]
  })
  printTable('Targets', [['', 'measured', 'target', ''], ...rows])
}

function verdict({ value, atLeast = -Infinity, atMost = Infinity }: Target): string {
  if (!Number.isFinite(value)) return 'not measured'
  return value >= atLeast && value <= atMost ? 'reached' : 'MISSED'
}
