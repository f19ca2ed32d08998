import { readFile } from 'node:fs/promises'

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly success: boolean
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly status: string }[]
  }[]
}

/** Prints how many tests of a JSON report of vitest passed and failed, as the last line; other failures count too. */
const [file = '', ...otherFailures] = process.argv.slice(2)
let passed = 0
let failed = otherFailures.length
for (const name of otherFailures) console.log(`failed: ${name}`)
try {
  // The report is made by vitest: its shape is what the interface says.
  const report = JSON.parse(await readFile(file, 'utf8')) as Report
  passed = report.numPassedTests
  failed += report.numFailedTests
  // A file that could not be loaded has no test that failed.
  const broken = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed'),
  )
  for (const { name } of broken) console.log(`failed: ${name}`)
  failed += broken.length
  const skipped = report.numPendingTests + report.numTodoTests
  if (skipped > 0) console.log(`${skipped} skipped`)
  if (failed === 0 && !report.success) failed = 1
  if (passed === 0 && failed === 0) failed = 1
} catch (error) {
  console.log(`no report of the tests: ${String(error)}`)
  failed += 1
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
