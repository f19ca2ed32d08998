/** The text of a Postgres array with one dimension (PostgreSQL manual, "Array Input and Output Syntax"). */
export function arrayText(values: readonly unknown[]): string {
  return arrayOfElements(values.map(elementText))
}

/** The same from the texts of its elements. */
export function arrayOfElements(elements: readonly string[]): string {
  return `{${elements.join(',')}}`
}

/** An element as it stands in the text of an array. */
export function elementText(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  const text = value instanceof Date ? value.toISOString() : String(value)
  return SPECIAL.test(text) ? `"${text.replace(ESCAPED, '\\$&')}"` : `"${text}"`
}

const SPECIAL = /["\\]/
const ESCAPED = /["\\]/g

/** The elements in the text of a Postgres array with one dimension; null for those that are null. */
export function parseArray<Element>(text: string, parse: (element: string) => Element): (Element | null)[] {
  const elements: (Element | null)[] = []
  // Either between quotes, where a backslash stands before what is meant as it is, or without them up to the comma.
  const pattern = /"((?:[^"\\]|\\[\s\S])*)"|([^",{}]+)/g
  for (const [, quoted, plain = ''] of text.slice(text.indexOf('{')).matchAll(pattern)) {
    if (quoted !== undefined) elements.push(parse(quoted.replace(/\\([\s\S])/g, '$1')))
    else elements.push(plain === 'NULL' ? null : parse(plain))
  }
  return elements
}
