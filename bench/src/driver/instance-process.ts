/**
 * The program that the bench forks for each instance: it answers the parent's calls one by one over IPC, and ends when
 * the channel to its parent closes, whichever way that has ended.
 */

import { describeError } from '../report/describe-error.js'
import { Instance } from './instance.js'
import type { Call, InstanceHandlers, Method, Reply } from './protocol.js'

// Ctrl+C reaches the whole process group; the parent decides when its instances end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
process.on('disconnect', () => process.exit())
process.on('message', (call: Call) => void answer(call).then(reply => process.send?.(reply)))

let instance: Instance | undefined

const handlers: InstanceHandlers = {
  assign: async assignment => {
    instance = await Instance.open(assignment)
  },
  prime: () => assigned().prime(),
  load: order => assigned().load(order),
  flushStatistics: () => assigned().flushStatistics(),
  close: async () => {
    await instance?.close()
  },
}

function assigned(): Instance {
  if (instance === undefined) throw new Error('an instance was called before it was assigned')
  return instance
}

async function answer<M extends Method>({ id, method, args }: Call<M>): Promise<Reply> {
  try {
    return { id, result: await handlers[method](...args) }
  } catch (error) {
    return { id, error: describeError(error) }
  }
}
