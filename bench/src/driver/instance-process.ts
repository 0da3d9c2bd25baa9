/** The program that the bench forks for each instance. */

import { answerCalls } from '../process/answer-calls.js'
import { Instance } from './instance.js'
import type { InstanceCalls } from './protocol.js'

let instance: Instance | undefined

answerCalls<InstanceCalls>({
  assign: async assignment => {
    instance = await Instance.open(assignment)
  },
  prime: () => assigned().prime(),
  load: order => assigned().load(order),
  flushStatistics: () => assigned().flushStatistics(),
  close: async () => {
    await instance?.close()
  },
})

function assigned(): Instance {
  if (instance === undefined) throw new Error('an instance was called before it was assigned')
  return instance
}
