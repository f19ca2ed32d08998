import { setTimeout as sleep } from 'node:timers/promises'
import { answerParent } from '../../process.ts'
import { now } from '../../statistics.ts'
import { serveRaw } from '../raw.ts'
import { serveRecipe } from '../recipe.ts'
import type { TickMessage } from '../tickServer.ts'
import type { Burst, Published, ServerOrder, Usage } from '../ticks.ts'
import { watchUsage } from '../usage.ts'

/** A process with a server that Kern is compared with. Argument: `raw` or `recipe`. Says where it is. */

export type RivalOrder =
  | ServerOrder
  /** How many subscriptions there were so far. */
  | { readonly type: 'subscribed' }
  /** From now on ticks are like this one, but for their number. */
  | ({ readonly type: 'imitate' } & TickMessage)

const [kind] = process.argv.slice(2)
await using server = kind === 'raw' ? await serveRaw() : await serveRecipe()
const usage = watchUsage()
let like: TickMessage = { message: '', result: '' }
let ticks = 0

async function burst({ count, everyMs }: Burst): Promise<Published> {
  const first = ticks
  const at = new Float64Array(count)
  for (let i = 0; i < count; i += 1) {
    const numbered = (text: string) => text.replace(/"tick":\d+/, `"tick":${ticks}`)
    const tick = { message: numbered(like.message), result: numbered(like.result) }
    ticks += 1
    at[i] = now()
    server.publish(tick)
    await sleep(everyMs)
  }
  return { first, at, commitMs: new Float64Array(count) }
}

async function answer(order: RivalOrder): Promise<Usage | Published | number | null> {
  switch (order.type) {
    case 'usage':
      return await usage(order.settled ?? false)
    case 'burst':
      return await burst(order)
    case 'subscribed':
      return server.subscribed()
    case 'imitate':
      like = order
      return null
  }
}

await answerParent(server.url, answer)
