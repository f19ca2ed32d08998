/** The text of a Postgres array with one dimension (PostgreSQL manual, "Array Input and Output Syntax"). */
export function arrayText(values: readonly unknown[]): string {
  const elements = values.map((value) => {
    if (value === null || value === undefined) return 'NULL'
    const text = value instanceof Date ? value.toISOString() : String(value)
    return `"${text.replace(/["\\]/g, '\\$&')}"`
  })
  return `{${elements.join(',')}}`
}

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
