import { textOfTree } from './shrink.ts'
import type { Tree } from './spec.ts'

/** How many trees are tried: KERN_TREES. */
export const COUNT = Number(process.env['KERN_TREES'] ?? 1_000)

/** Which trees: KERN_SEED, by default always the same. A failure tells it. */
export const SEED = Number(process.env['KERN_SEED'] ?? 20_261_122)

/** Does something with all items, so many at a time. */
export async function inBatches<Item>(
  items: readonly Item[],
  size: number,
  work: (batch: readonly Item[]) => Promise<void>,
): Promise<void> {
  for (let from = 0; from < items.length; from += size) await work(items.slice(from, from + size))
}

/** A tree with what is wrong with its run. */
export interface Judged {
  readonly tree: Tree
  readonly faults: readonly string[]
}

/** Those that fail, the shortest first. */
export function failing(trees: readonly Tree[], faults: readonly (readonly string[])[]): Judged[] {
  return trees
    .map((tree, index) => ({ tree, faults: faults[index] ?? [] }))
    .filter((judged) => judged.faults.length > 0)
    .sort((a, b) => textOfTree(a.tree).length - textOfTree(b.tree).length)
}

/** @throws Error that shows the first of those that fail, if there is one */
export function expectNone(failed: readonly Judged[]): void {
  const [first] = failed
  if (!first) return
  const title = `${failed.length} trees fail, with KERN_TREES=${COUNT} KERN_SEED=${SEED}; one of them is`
  throw new Error([title, textOfTree(first.tree), 'and what is wrong with its run is', ...first.faults].join('\n'))
}
