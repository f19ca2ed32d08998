import { spawn } from 'node:child_process'

/** What has to hold before a commit: side by side, each with its output in one piece. */
const CHECKS = [
  ['format', 'biome', 'format', '.'],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings'],
  ['types', 'tsc', '-p', '.'],
  ['types of pages', 'tsc', '-p', 'examples/clients'],
  ['unused', 'knip'],
] as const

interface Result {
  readonly name: string
  readonly ok: boolean
}

function check([name, program, ...args]: readonly [string, string, ...string[]]): Promise<Result> {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const output: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
    child.once('error', reject)
    child.once('close', (code) => {
      const ok = code === 0
      const seconds = ((performance.now() - started) / 1_000).toFixed(1)
      console.log(`${ok ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
      if (!ok) console.log(Buffer.concat(output).toString())
      resolve({ name, ok })
    })
  })
}

const results = await Promise.all(CHECKS.map(check))
const failed = results.filter(({ ok }) => !ok).map(({ name }) => name)
console.log(failed.length === 0 ? 'all checks passed' : `failed: ${failed.join(', ')}`)
process.exitCode = failed.length === 0 ? 0 : 1
