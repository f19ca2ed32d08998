import type { Command } from 'commander'
import { checkedAge, readConfig } from '../config.ts'
import type { Database } from '../db/client.ts'
import { KernError, shown } from '../errors.ts'
import { reaching } from './database.ts'
import { loadWorkflows } from './load.ts'
import type { Terminal } from './terminal.ts'

interface Flags {
  readonly database?: string
  readonly workflows?: readonly string[]
  readonly workflow?: string
  readonly olderThan?: string
  readonly dryRun?: boolean
}

/** How old, in milliseconds, the runs of a workflow must be to go. */
interface Rule {
  readonly workflowId: string
  readonly keepMs: number
}

/** Which runs are meant: the ids of the workflows that the database knows lead to a rule for each. */
type Rules = (known: readonly string[]) => readonly Rule[]

/** `kern prune`: deletes runs that ended long ago. */
export function addPrune(program: Command, terminal: Terminal): void {
  program
    .command('prune')
    .description('Delete runs that ended long ago, and sessions of which nothing else is left.')
    .option(
      '--older-than <duration>',
      'Since their end, such as 30d (default: what the workflows or KERN_RETENTION say).',
    )
    .option('--workflow <id>', 'Runs of this workflow only.')
    .option('--dry-run', 'Delete nothing, and print how many runs it would be.')
    .option('-d, --database <url>', 'The database: pglite:<folder> or postgres://… (DATABASE_URL).')
    .option('-w, --workflows <paths...>', 'Files or folders that export the workflows (KERN_WORKFLOWS).')
    .action(async ({ database: databaseUrl, workflows, ...flags }: Flags) => {
      const config = readConfig(undefined, { databaseUrl, ...(workflows && { workflows: [...workflows] }) })
      const url = config.databaseUrl
      if (url.kind === 'memory') {
        const allowed = 'allowed is pglite:<folder> or postgres://…, as there is nothing in it to delete'
        throw new KernError('CONFIG_INVALID', `the database is "pglite:memory": ${allowed}`)
      }
      const rules = flags.olderThan === undefined ? await ownRules(config) : rulesOf(flags.olderThan)
      await reaching(url, async () => {
        const [{ openDatabase }, { assertMigrated }] = await Promise.all([
          import('../db/client.ts'),
          import('../db/migrate.ts'),
        ])
        await using database = await openDatabase(url)
        if (database.kind === 'postgres') await assertMigrated(database)
        await prune(database, { ...flags, rules, terminal })
      })
    })
}

/** One age for every workflow. */
function rulesOf(olderThan: string): Rules {
  const keepMs = checkedAge('--older-than', olderThan)
  return (known) => known.map((workflowId) => ({ workflowId, keepMs }))
}

/** What the workflows say of themselves, and the common setting for those that say nothing. */
async function ownRules({ workflows, retentionMs }: ReturnType<typeof readConfig>): Promise<Rules> {
  const { retentionRules } = await import('../dispatch/retention.ts')
  const loaded = workflows.length === 0 ? [] : await loadWorkflows(workflows)
  const definitions = loaded.map(({ definition }) => definition)
  const rules = retentionRules(definitions, retentionMs)
  if (rules.length > 0) return () => rules
  throw new KernError(
    'CONFIG_INVALID',
    'nothing says how old the runs must be: give --older-than, or --workflows with KERN_RETENTION or with workflows that have a retention',
  )
}

interface PruneOptions extends Pick<Flags, 'workflow' | 'dryRun'> {
  readonly rules: Rules
  readonly terminal: Terminal
}

async function prune({ db }: Database, { rules, workflow, dryRun = false, terminal }: PruneOptions): Promise<void> {
  const { countOldRuns, knownWorkflows } = await import('../store/prune.ts')
  const known = await knownWorkflows(db)
  if (workflow !== undefined && !known.includes(workflow)) {
    throw new KernError(
      'NOT_FOUND',
      `no workflow ${shown(workflow)} was ever served from this database: there are ${shown(known)}`,
    )
  }
  const now = Date.now()
  const meant = rules(known).filter(({ workflowId }) => workflow === undefined || workflowId === workflow)
  if (meant.length === 0) terminal.out('There is no workflow whose runs could be deleted.\n')
  for (const { workflowId, keepMs } of meant) {
    const old = { workflowId, before: new Date(now - keepMs) }
    const { runs, sessions } = dryRun ? { runs: await countOldRuns(db, old), sessions: null } : await deleteAll(db, old)
    const what = counted(runs, 'run')
    const also = sessions === null || sessions === 0 ? '' : `, and ${counted(sessions, 'session')}`
    terminal.out(
      `${workflowId}: ${dryRun ? 'would delete' : 'deleted'} ${what} that ended before ${old.before.toISOString()}${also}\n`,
    )
  }
}

async function deleteAll(
  db: Database['db'],
  old: { readonly workflowId: string; readonly before: Date },
): Promise<{ readonly runs: number; readonly sessions: number }> {
  const { pruneBatch } = await import('../store/prune.ts')
  const total = { runs: 0, sessions: 0 }
  for (let more = true; more; ) {
    const batch = await pruneBatch(db, old)
    total.runs += batch.runs
    total.sessions += batch.sessions
    more = batch.more
  }
  return total
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
