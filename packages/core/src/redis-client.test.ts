/** The client as a cache needs it, on a real server behind a proxy that fails as networks do. */

import { Deadline, type StepContext, systemClock } from '@breakwater/kernel'
import {
  eventually,
  type FaultProxy,
  startProxy,
  startRedis,
  startRedisCluster,
  startRedisSentinels,
} from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type AnyRedis,
  closeRedisClient,
  createRedisClient,
  type Redis,
  type RedisClientOptions,
  whenReady,
} from './redis-client.js'

let proxy: FaultProxy
let clients: AnyRedis[] = []
let lines: string[]

beforeEach(async () => {
  proxy = await startProxy(testRedis())
  lines = []
})
afterEach(async () => {
  await Promise.all(clients.map(client => closeRedisClient(client, context(AbortSignal.abort()))))
  clients = []
  await proxy.close()
})

const context = (signal: AbortSignal = new AbortController().signal): StepContext => ({
  signal,
  deadline: new Deadline(systemClock, 5_000),
})

function make(options: Omit<RedisClientOptions, 'cluster'> = {}): Redis {
  const logger = {
    info: (_: object, message: string) => void lines.push(message),
    warn: (fields: object, message: string) =>
      void lines.push(`${message} (${(fields as Record<string, string>)['error.type']})`),
  }
  const client = createRedisClient({ url: proxy.url(testRedis().url), ...options }, logger)
  clients.push(client)
  return client
}

async function connected(options?: Omit<RedisClientOptions, 'cluster'>): Promise<Redis> {
  const client = make(options)
  await whenReady(client, new AbortController().signal)
  return client
}

/** A direct way to the same data. */
async function direct<T>(use: (client: Redis) => Promise<T>): Promise<T> {
  const client = createRedisClient({ url: testRedis().url })
  await whenReady(client, new AbortController().signal)
  try {
    return await use(client)
  } finally {
    await closeRedisClient(client, context())
  }
}

describe('the client', () => {
  it('does not connect before it is asked to', async () => {
    const client = make()
    await new Promise(resolve => setImmediate(resolve))
    expect([client.status, proxy.connections]).toEqual(['wait', 0])
  })

  it('refuses a URL that ioredis would take for a path, and does not repeat it', () => {
    for (const url of ['localhost:6379', 'http://x', 'redis://:hunter2@host:port']) {
      expect(() => createRedisClient({ url })).toThrow('redis.url must be')
      expect(() => createRedisClient({ url })).not.toThrow('hunter2')
    }
  })

  it('fails a command at once while Redis is away, and never runs it later', async () => {
    const client = await connected()
    proxy.refuse()
    proxy.cut()
    await eventually(() => client.status === 'reconnecting')
    const begun = performance.now()
    await expect(client.set('core-test:late', 'x')).rejects.toThrow('writeable')
    expect(performance.now() - begun).toBeLessThan(50)
    await proxy.heal()
    await whenReady(client, new AbortController().signal)
    expect(await client.get('core-test:late')).toBeNull()
  })

  it('is back within a second or so of Redis, and tells of the loss and the return once each', async () => {
    const client = await connected()
    proxy.refuse()
    proxy.cut()
    let attempts = 0
    client.on('connecting', () => attempts++)
    await eventually(() => attempts === 3)
    await proxy.heal()
    const begun = performance.now()
    await whenReady(client, new AbortController().signal)
    expect(performance.now() - begun).toBeLessThan(1_500)
    expect(lines.filter(line => line.includes('ECONNREFUSED'))).toHaveLength(1)
    expect(lines.at(-1)).toBe('Redis is back')
  })

  it('rejects what was in flight when the socket is lost, and does not send it twice', async () => {
    await direct(redis => redis.del('core-test:count'))
    const client = await connected()
    proxy.setLatency(600)
    const incremented = client.incr('core-test:count').then(
      () => 'answered',
      error => error.name as string,
    )
    await direct(redis => eventually(async () => (await redis.get('core-test:count')) === '1'))
    proxy.cut()
    proxy.setLatency(0)
    expect(await incremented).toBe('MaxRetriesPerRequestError')
    await whenReady(client, new AbortController().signal)
    expect(await client.get('core-test:count')).toBe('1')
  })

  it('gives up a socket that never answers, and makes a new one', async () => {
    const client = await connected({ socketTimeout: 300 })
    proxy.halfOpen()
    await expect(client.get('core-test:any')).rejects.toThrow()
    await proxy.heal()
    await whenReady(client, new AbortController().signal)
    expect(await client.ping()).toBe('PONG')
  })
})

describe('whenReady', () => {
  it('goes on trying until Redis comes', async () => {
    proxy.refuse()
    const client = make()
    const ready = whenReady(client, new AbortController().signal)
    await eventually(() => client.status === 'reconnecting')
    await proxy.heal()
    await ready
    expect(client.status).toBe('ready')
  })

  it('says why, when it is given up', async () => {
    proxy.refuse()
    const client = make()
    const controller = new AbortController()
    const ready = whenReady(client, controller.signal).catch(error => error)
    await eventually(() => client.status === 'reconnecting')
    controller.abort()
    expect(await ready).toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('refuses a client that has been closed', async () => {
    const client = await connected()
    await closeRedisClient(client, context())
    await expect(whenReady(client, new AbortController().signal)).rejects.toMatchObject({ kind: 'usage' })
  })
})

describe('closeRedisClient', () => {
  it('lets what was sent be answered', async () => {
    const client = await connected()
    proxy.setLatency(100)
    const answers = Promise.all(Array.from({ length: 50 }, () => client.ping()))
    await closeRedisClient(client, context())
    expect(await answers).toHaveLength(50)
    expect(client.status).toBe('end')
    await proxy.waitForConnections(0)
  })

  it('does not wait for a server that hangs once the signal is aborted, and settles what was in flight', async () => {
    // Else it would be ioredis that destroys the socket in the end.
    const client = await connected({ disconnectTimeout: 60_000 })
    proxy.halfOpen()
    const asked = client.get('core-test:any').catch(error => error)
    const controller = new AbortController()
    const closed = closeRedisClient(client, context(controller.signal))
    await new Promise(resolve => setImmediate(resolve))
    controller.abort(new Error('time is up'))
    await expect(closed).rejects.toThrow('time is up')
    expect(client.status).toBe('end')
    expect(await asked).toBeInstanceOf(Error)
    await proxy.waitForConnections(0)
  })

  it.each([
    ['that never connected', async () => make()],
    [
      'that is connecting',
      async () => {
        const client = make()
        client.connect().catch(() => {})
        return client
      },
    ],
    [
      'that connects to a server which accepts and says nothing',
      async () => {
        proxy.halfOpen()
        const client = make()
        client.connect().catch(() => {})
        await eventually(() => client.status === 'connect')
        return client
      },
    ],
    [
      'between two attempts',
      async () => {
        proxy.refuse()
        const client = make()
        client.connect().catch(() => {})
        await eventually(() => client.status === 'reconnecting')
        return client
      },
    ],
    [
      'that is closed',
      async () => {
        const client = await connected()
        client.disconnect()
        await eventually(() => client.status === 'end')
        return client
      },
    ],
  ])('ends a client %s', async (_, prepare) => {
    const client = await prepare()
    await closeRedisClient(client, context())
    expect(client.status).toBe('end')
    await expect(client.get('core-test:any')).rejects.toThrow('closed')
  })
})

describe('the client of a Cluster', () => {
  it('connects, answers and closes as that of one server does, also when the Cluster hangs', async () => {
    await using cluster = await startRedisCluster({ masters: 1, replicas: false })
    const [server] = cluster.servers
    const open = async (): Promise<AnyRedis> => {
      const client = createRedisClient({ cluster: [server?.url ?? ''] })
      expect(client.status).toBe('wait')
      await whenReady(client, new AbortController().signal)
      return client
    }
    const first = await open()
    expect(await first.set('core-test', 'x')).toBe('OK')
    await closeRedisClient(first, context())
    expect(first.status).toBe('end')

    const second = await open()
    await second.get('core-test')
    server?.hang()
    const get = second.get('core-test').catch((error: Error) => error)
    await closeRedisClient(second, context(AbortSignal.abort()))
    expect(await get).toBeInstanceOf(Error)
    server?.resume()

    const third = await open()
    await server?.kill()
    await eventually(() => third.status === 'reconnecting')
    await closeRedisClient(third, context())
  })

  it('is none without a node, or with a url beside it', () => {
    expect(() => createRedisClient({ cluster: [] })).toThrow('redis.cluster must name a node')
    expect(() => createRedisClient({ cluster: [6379], url: 'redis://localhost' })).toThrow('goes without redis.url')
  })
})

it('the client leaves a master that was made a replica behind its back', async () => {
  await using server = await startRedis({ own: true })
  const client = createRedisClient({ url: server.url })
  clients.push(client)
  await whenReady(client, new AbortController().signal)
  await client.replicaof('127.0.0.1', 1)
  const closed = new Promise(resolve => client.once('close', resolve))
  await expect(client.set('core-test', 'x')).rejects.toThrow()
  await closed
  await eventually(() => client.status === 'ready')
  await client.replicaof('NO', 'ONE')
  expect(await client.set('core-test', 'x')).toBe('OK')
})

it('behind Sentinels leaves a frozen master when another takes its place, and them when it is closed', {
  timeout: 60_000,
}, async () => {
  await using set = await startRedisSentinels()
  const sentinels = set.sentinels.map(({ host, port }) => ({ host, port }))
  // It would leave a server that does not answer for that alone.
  const client = createRedisClient({ sentinels, name: set.name, socketTimeout: 3_600_000 })
  clients.push(client)
  await whenReady(client, new AbortController().signal)
  const old = await set.master()
  old.hang()
  const { port } = await set.failOver()
  await eventually(() => expect(client.stream.remotePort).toBe(port), 15_000)
  old.resume()
  await eventually(async () => expect(await client.set('core-test', 'x')).toBe('OK'), 15_000)
})
