/** The asked side: answers the parent's calls, and ends when the channel to it closes, whichever way that has ended. */

import { describeError } from '../report/describe-error.js'
import type { Call, Calls, Handlers, Reply } from './calls.js'

/** Takes over this process, which must have been forked. */
export function answerCalls<C extends Calls<C>>(handlers: Handlers<C>): void {
  // Ctrl+C reaches the whole process group; the parent decides when its processes end.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  process.on('disconnect', () => process.exit())
  process.on('message', (call: Call<C>) => void answer(handlers, call).then(reply => process.send?.(reply)))
}

async function answer<C extends Calls<C>, M extends keyof C>(handlers: Handlers<C>, call: Call<C, M>): Promise<Reply> {
  const { id, method, args } = call
  try {
    return { id, result: await handlers[method](...args) }
  } catch (error) {
    return { id, error: describeError(error) }
  }
}
