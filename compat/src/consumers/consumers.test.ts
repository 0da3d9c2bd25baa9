/** Libraries that take work by themselves, as consumers of a service: a stop loses nothing, also one that goes by force. */

import { readFile } from 'node:fs/promises'
import { createDataAccess, type DataAccess } from '@breakwater/core'
import { eventually } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { type Job, Queue } from 'bullmq'
import { type EachMessagePayload, Kafka, type Consumer as KafkaConsumer } from 'kafkajs'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { bullmqConsumer } from './bullmq.js'
import { kafkajsConsumer } from './kafkajs.js'

let data: DataAccess
beforeEach(() => {
  data = createDataAccess({ postgres: { connectionString: testPostgres().url } })
})

it.each(['bullmq', 'kafkajs'])('the page about consumers shows the adapter of %s as it is tested here', async name => {
  const page = await readFile(new URL('../../../docs/lifecycle.md', import.meta.url), 'utf8')
  const source = await readFile(new URL(`${name}.ts`, import.meta.url), 'utf8')
  expect(page).toContain(`\`\`\`ts\n${source}\`\`\``)
})

describe('a worker of BullMQ', () => {
  const connection = { url: testRedis().url }
  let count = 0

  async function queueOf(jobs: number): Promise<Queue> {
    const queue = new Queue(`mails-${process.pid}-${++count}`, { connection })
    onTestFinished(async () => {
      await queue.obliterate({ force: true })
      await queue.close()
    })
    await queue.addBulk(Array.from({ length: jobs }, (_, n) => ({ name: 'mail', data: { n } })))
    return queue
  }

  it('does what it has taken, gives nothing out twice, and leaves the rest to others', async () => {
    const queue = await queueOf(60)
    const begun: number[] = []
    const done: number[] = []
    const handle = async ({ data: { n } }: Job<{ n: number }>): Promise<void> => {
      begun.push(n)
      await new Promise(resolve => setTimeout(resolve, 10))
      done.push(n)
    }
    data.consume('mails', bullmqConsumer(queue.name, connection, handle))
    await data.init()
    await eventually(() => expect(done.length).toBeGreaterThan(10))
    await data.dispose()
    expect(done).toEqual(begun)
    expect(new Set(done).size).toBe(done.length)
    expect(await queue.getJobCounts()).toMatchObject({
      completed: done.length,
      active: 0,
      failed: 0,
      waiting: 60 - done.length,
    })
    expect(done.length).toBeLessThan(60)
  })

  it('is let go by force from a job that does not end, which is given to another later', async () => {
    const queue = await queueOf(1)
    let isBegun = false
    const handle = (): Promise<never> => {
      isBegun = true
      return new Promise(() => {})
    }
    data.consume('mails', bullmqConsumer(queue.name, connection, handle))
    await data.init()
    await eventually(() => isBegun)
    await expect(data.dispose({ deadline: 1_500 })).rejects.toMatchObject({
      code: 'DISPOSE_INCOMPLETE',
      left: { running: ['mails (finish)'], uncommitted: ['mails'] },
    })
    expect(await queue.getJobCounts()).toMatchObject({ active: 1 })
  })
})

describe('a consumer of kafkajs', () => {
  /** Without brokers: what kafkajs does with two partitions, each message after the other until it is paused. */
  class Brokerless implements Pick<KafkaConsumer, 'run' | 'pause' | 'commitOffsets' | 'disconnect'> {
    readonly calls: unknown[] = []
    #isPaused = false

    async run({ eachMessage }: Parameters<KafkaConsumer['run']>[0] & object): Promise<void> {
      for (const partition of [0, 1]) {
        void (async () => {
          for (let offset = 7; !this.#isPaused; offset++) {
            await eachMessage?.({ partition, message: { offset: String(offset) } } as EachMessagePayload)
          }
        })()
      }
    }

    pause(...args: unknown[]): void {
      this.#isPaused = true
      this.calls.push(['pause', ...args])
    }

    async commitOffsets(offsets: unknown): Promise<void> {
      this.calls.push(['commit', offsets])
    }

    async disconnect(): Promise<void> {
      this.calls.push(['disconnect'])
    }
  }

  it('is paused, finishes what it was given, commits that, and leaves', async () => {
    const consumer = new Brokerless()
    const last: Record<number, number> = {}
    const handle = async ({ partition, message }: EachMessagePayload): Promise<void> => {
      await new Promise(resolve => setTimeout(resolve, partition === 0 ? 5 : 20))
      last[partition] = Number(message.offset)
    }
    data.consume('orders', kafkajsConsumer(consumer as unknown as KafkaConsumer, 'orders', handle))
    await data.init()
    await eventually(() => expect(last[1]).toBeGreaterThan(8))
    await data.dispose()
    const offsets = [0, 1].map(partition => ({ topic: 'orders', partition, offset: `${(last[partition] ?? 0) + 1}` }))
    expect(consumer.calls).toEqual([
      ['pause', [{ topic: 'orders' }]],
      ['commit', expect.arrayContaining(offsets)],
      ['disconnect'],
    ])
  })

  it('has what the adapter calls', () => {
    const consumer = new Kafka({ brokers: ['127.0.0.1:1'] }).consumer({ groupId: 'g' })
    for (const method of ['run', 'pause', 'commitOffsets', 'disconnect'] as const) {
      expect(consumer[method]).toBeTypeOf('function')
    }
  })
})
