import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** A process that was started for a measurement, and does what it is asked. */
export interface Child<Hello, Order, Answer> extends AsyncDisposable {
  /** What it said when it was ready. */
  readonly hello: Hello
  /** One question at a time. @throws Error with what went wrong there, also if it ends or does not answer in two minutes */
  ask(order: Order): Promise<Answer>
  /** Ends it at once (SIGKILL). */
  kill(): Promise<void>
}

type Message<T> = { readonly type: 'answer'; readonly value: T } | { readonly type: 'error'; readonly message: string }

const ANSWER_MS = 120_000
/** How long a process may take to close what it has open, in milliseconds. */
const END_MS = 20_000

/** Starts a file of this folder as a process of its own, and waits until it is ready. */
export async function startChild<Hello, Order, Answer>(
  file: string,
  args: readonly string[],
): Promise<Child<Hello, Order, Answer>> {
  const child = fork(new URL(file, import.meta.url), args, { serialization: 'advanced' })
  const closed = once(child, 'exit')
  const what = `${file} ${args.join(' ')}`
  async function end(signal: 'SIGKILL' | null): Promise<void> {
    if (signal) child.kill(signal)
    else if (child.connected) child.disconnect()
    const late = setTimeout(() => child.kill('SIGKILL'), END_MS)
    await closed
    clearTimeout(late)
  }
  try {
    const hello = await messageFrom<Hello>(child, what)
    return {
      hello,
      ask: (order) => {
        const answer = messageFrom<Answer>(child, what)
        child.send({ order })
        return answer
      },
      kill: () => end('SIGKILL'),
      [Symbol.asyncDispose]: () => end(null),
    }
  } catch (error) {
    await end('SIGKILL')
    throw error
  }
}

function messageFrom<T>(child: ChildProcess, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => settle(() => reject(new Error(`${what} ended with ${code}`)))
    const onMessage = (message: Message<T>) =>
      settle(() => {
        if (message.type === 'answer') resolve(message.value)
        else reject(new Error(`${what}: ${message.message}`))
      })
    const silent = () => settle(() => reject(new Error(`${what} has not answered for ${ANSWER_MS / 1_000} s`)))
    const timer = setTimeout(silent, ANSWER_MS)
    function settle(then: () => void): void {
      clearTimeout(timer)
      child.off('exit', onExit)
      child.off('message', onMessage)
      then()
    }
    child.once('exit', onExit)
    child.once('message', onMessage)
  })
}

/** In the child: says that it is ready, then answers each question until the parent lets it go. */
export async function answerParent<Order, Answer>(
  hello: unknown,
  answer: (order: Order) => Promise<Answer>,
): Promise<void> {
  const send = (message: Message<unknown>) => process.send?.(message)
  process.on('message', ({ order }: { readonly order: Order }) => {
    answer(order).then(
      (value) => send({ type: 'answer', value }),
      (error: unknown) =>
        send({ type: 'error', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    )
  })
  const gone = once(process, 'disconnect')
  send({ type: 'answer', value: hello })
  await gone
}
