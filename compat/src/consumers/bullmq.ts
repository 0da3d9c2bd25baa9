import type { Consumer } from '@breakwater/core'
import { type ConnectionOptions, type Job, Worker } from 'bullmq'

/** A worker of BullMQ, which writes down the end of each job by itself. */
export function bullmqConsumer(
  queue: string,
  connection: ConnectionOptions,
  handle: (job: Job) => Promise<unknown>,
): Consumer {
  const running = new Set<Promise<unknown>>()
  const run = (job: Job): Promise<unknown> => {
    const work = handle(job)
    running.add(work)
    return work.finally(() => running.delete(work))
  }
  const worker = new Worker(queue, run, { connection, autorun: false, concurrency: 5 })
  // Without a listener an error would end the process.
  worker.on('error', () => {})
  return {
    start: () => void worker.run(),
    pause: () => worker.pause(true),
    finish: () => Promise.allSettled(running),
    // Once, and not before: a `close` that waits for a job which never ends cannot be hastened by a second one.
    disconnect: ({ signal }) => worker.close(signal.aborted),
  }
}
