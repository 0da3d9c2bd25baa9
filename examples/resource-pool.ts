import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { ResourcePool } from '@breakwater/pool'

const code = "const { parentPort: p } = require('node:worker_threads'); p.on('message', n => p.postMessage(n * n))"

const workers = new ResourcePool<Worker>({
  name: 'workers',
  max: 2,
  factory: {
    async create() {
      const worker = new Worker(code, { eval: true })
      await once(worker, 'online')
      return worker
    },
    validate: worker => worker.threadId !== -1, // asked of one that was idle for 500 ms, and every 30 s in the background
    async destroy(worker) {
      await worker.terminate()
    },
  },
})

/** Waits for one of the two workers, a second at most, and gives it back whatever happens. */
const square = (n: number): Promise<number> =>
  workers.use(
    async worker => {
      worker.postMessage(n)
      return (await once(worker, 'message'))[0]
    },
    { timeout: '1s' },
  )

console.log(await Promise.all([1, 2, 3, 4].map(square))) // [ 1, 4, 9, 16 ]
console.log(workers.state().leased) // 0
await workers.dispose({ deadline: '5s' }) // resolves when both are gone
