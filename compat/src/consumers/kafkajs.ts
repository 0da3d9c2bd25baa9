import type { Consumer } from '@breakwater/core'
import type { EachMessagePayload, Consumer as KafkaConsumer, TopicPartitionOffset } from 'kafkajs'

/** A consumer of kafkajs, connected and subscribed already. It commits as it goes; what it has not yet, the stop does. */
export function kafkajsConsumer(
  consumer: KafkaConsumer,
  topic: string,
  handle: (payload: EachMessagePayload) => Promise<unknown>,
): Consumer {
  const due = new Map<string, TopicPartitionOffset>()
  const running = new Set<Promise<unknown>>()
  const eachMessage = (payload: EachMessagePayload): Promise<void> => {
    const { partition, message } = payload
    const work = handle(payload).then(() => {
      // The offset that is committed is the next one to read.
      due.set(`${partition}`, { topic, partition, offset: String(BigInt(message.offset) + 1n) })
    })
    running.add(work)
    return work.finally(() => running.delete(work))
  }
  return {
    start: () => consumer.run({ eachMessage }),
    pause: () => consumer.pause([{ topic }]),
    finish: () => Promise.allSettled(running),
    // Before it leaves the group: afterwards the partitions are somebody else's.
    commit: () => (due.size > 0 ? consumer.commitOffsets([...due.values()]) : undefined),
    disconnect: () => consumer.disconnect(),
  }
}
