/** The program that the soak forks for each instance. */

import { answerCalls } from '../process/answer-calls.js'
import type { SoakCalls } from './protocol.js'
import { SoakInstance } from './soak-instance.js'

let instance: SoakInstance | undefined

answerCalls<SoakCalls>({
  open: async assignment => {
    instance = await SoakInstance.open(assignment)
  },
  begin: async () => opened().begin(),
  state: async () => opened().state(),
  rebuild: () => opened().rebuild(),
  close: async () => {
    await instance?.close()
  },
})

function opened(): SoakInstance {
  if (instance === undefined) throw new Error('an instance was called before it was opened')
  return instance
}
