import { type ContenderName, createContender } from '../contender.ts'
import { type Load, putUnder } from '../load.ts'
import { answerParent } from '../process.ts'

/** A process with one contender, so that its processor time and memory are its own. Arguments: its name, its database. */
const [name, place = ''] = process.argv.slice(2)
// `as`: the parent gives a name of the list.
await using contender = await createContender(name as ContenderName, place)
await contender.run()
const hello = { title: contender.title, startBytes: process.memoryUsage.rss() }
await answerParent(hello, (load: Load) => putUnder(load, contender))
