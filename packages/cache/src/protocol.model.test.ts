/**
 * Any order of reads, loads, writes, deletions, tags, clears, crashes, cuts, a trimmed log and failovers with loss, over three
 * instances on a real Redis, held against one promise: a read that begins after an invalidation has been heard answers with nothing that
 * was older than it.
 *
 * The model is the source of truth: a row a key, its version counted up by each write. `least` is what a read may answer
 * with at least: the version at the last invalidation. A loader reads its row at once and returns when it is told, so that
 * anything can happen in between. An instance that is cut off may answer with what it has, for `maxLag`; here that is over
 * before the next step. What it has invalidated itself binds it always, also what Redis could not be told yet. Reads go on
 * while an instance, or after a failover all of them, find their way back.
 */

import { eventually, type FaultProxy, startProxy } from '@breakwater/testkit'
import { testRedis } from '@breakwater/testkit/vitest'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { Cache } from './cache.js'
import { instancesOn } from './instances.fixture.js'
import type { Acknowledgement } from './redis/client.js'
import type { Space } from './space.js'

const KEYS = ['a', 'b'] as const
const TAG = 'both'
const INSTANCES = 3
/** The instance that has nothing but what Redis holds. */
const LAST = INSTANCES - 1
const MAX_LAG_MS = 600

interface Node {
  readonly proxy: FaultProxy
  cache: Cache
  space: Space<number, string>
  client: Redis
  cut: boolean
  /** Version at the last invalidation that this instance has made itself. */
  readonly own: Map<string, number>
  /** Keys with a read under way, and what it was promised. */
  readonly waiting: Map<string, number>
  /** What it has loaded while it was cut off, which nobody can tell it of: the version at least, and until when it may be held. */
  readonly held: Map<string, { readonly least: number; readonly until: number }>
}

class World {
  readonly instances = instancesOn(testRedis().url)
  readonly nodes: Node[] = []
  readonly rows = new Map<string, number>(KEYS.map(key => [key, 1]))
  /** Version below which no read that begins now may answer. */
  readonly least = new Map<string, number>(KEYS.map(key => [key, 1]))
  /** Loads under way, each with what lets it return. */
  loads: { readonly key: string; readonly letGo: () => void }[] = []
  /** Reads under way: settled when their load is let go. */
  reads: Promise<unknown>[] = []
  /** With the instant at which each ends, 0 for never. */
  snapshot: [key: string, dump: Buffer, endsAt: number][] = []

  async open(): Promise<void> {
    for (let i = 0; i < INSTANCES; i++) {
      const proxy = await startProxy(testRedis())
      const known = { own: new Map(), waiting: new Map(), held: new Map() }
      this.nodes.push({ proxy, cut: false, ...known, ...(await this.connect(proxy, i)) })
    }
    await this.replicate()
  }

  async connect(proxy: FaultProxy, at: number): Promise<Pick<Node, 'cache' | 'space' | 'client'>> {
    const client = new Redis(proxy.url(testRedis().url), { maxRetriesPerRequest: null, retryStrategy: () => 10 })
    client.on('error', () => {})
    const cache = new Cache({
      redis: client,
      namespace: this.instances.namespace,
      redisTimeout: 200,
      maxLag: MAX_LAG_MS,
      ...(at === LAST && { memory: false }),
    })
    const space = cache.space<number, string>('s', {
      ttl: '1m',
      jitter: 0,
      leaseTime: 300,
      load: (key, { setTags }) =>
        new Promise(resolve => {
          const read = this.rows.get(key) as number
          const letGo = (): void => {
            setTags([TAG])
            resolve(read)
          }
          this.loads.push({ key, letGo })
        }),
    })
    await cache.init().catch(() => {})
    return { cache, space, client }
  }

  /**
   * A read, which may have to load; its answer is held against what was promised when it began. On an instance that is cut
   * off it may join a load of that instance's own that began before the invalidation, which nobody can tell it of, or get
   * what that has brought.
   */
  read(node: Node, key: string): Promise<unknown> {
    const promised = this.least.get(key) as number
    const held = node.held.get(key)
    const startedAt = performance.now()
    const heard = node.cut
      ? Math.min(promised, node.waiting.get(key) ?? promised, held && startedAt < held.until ? held.least : promised)
      : promised
    const least = Math.max(heard, node.own.get(key) ?? 0)
    if (!node.waiting.has(key)) node.waiting.set(key, least)
    const over = (): void => {
      node.waiting.delete(key)
      if (node.cut) node.held.set(key, { least, until: startedAt + MAX_LAG_MS })
    }
    const read = node.space.get(key).then(value => {
      over()
      expect(value, key).toBeGreaterThanOrEqual(least)
    }, over)
    this.reads.push(read)
    return read
  }

  async invalidate(node: Node, keys: readonly string[], how: () => Promise<Acknowledgement>): Promise<void> {
    const versions = keys.map(key => this.rows.get(key) as number)
    const before = this.nodes.map(({ cache }) => heardBy(cache))
    const applied = (await how()) === 'applied'
    for (const [i, key] of keys.entries()) node.own.set(key, versions[i] as number)
    if (applied) {
      await eventually(() =>
        expect(this.nodes.every(({ cut, cache }, i) => cut || heardBy(cache) > (before[i] as number))).toBe(true),
      )
    }
    // Queued: it is promised to this instance alone, and to the others when Redis has been told.
    if (applied && !node.cut) for (const [i, key] of keys.entries()) this.least.set(key, versions[i] as number)
  }

  /** Reads on those that find their way back, until every instance that can follows the log and has told what it had to. */
  async followed(returning: readonly Node[], opened: readonly number[]): Promise<void> {
    // Not by those that would only load into their memory anew what they are to be asked for later.
    const bare = returning.filter(node => node === this.nodes[LAST])
    let isOver = false
    const reading = (async () => {
      while (!isOver) {
        for (const node of bare) for (const key of KEYS) void this.read(node, key)
        await new Promise(resolve => setImmediate(resolve))
        this.letGo()
      }
    })()
    try {
      await eventually(() => {
        for (const [i, node] of returning.entries()) {
          const { connections, following, outbox } = node.cache.stats().redis ?? {}
          expect(connections).toBeGreaterThan(opened[i] as number)
          expect({ following, outbox }).toEqual({ following: true, outbox: 0 })
        }
      }, 15_000)
    } finally {
      isOver = true
      await reading
    }
  }

  async replicate(): Promise<void> {
    const keys = await this.instances.redis.keys(`${this.instances.namespace}:*`)
    this.snapshot = []
    for (const key of keys) {
      const dump = await this.instances.redis.dumpBuffer(key)
      const endsAt = Number(await this.instances.redis.call('PEXPIRETIME', [key]))
      if (dump !== null) this.snapshot.push([key, dump, Math.max(0, endsAt)])
    }
  }

  /** Of the log only the last entry is left: who is cut off has missed the others. */
  async trim(): Promise<void> {
    const { redis, namespace } = this.instances
    for (const log of await redis.keys(`${namespace}:*:log`)) await redis.xtrim(log, 'MAXLEN', 1)
  }

  /** Another server takes over with what was replicated last; all connections are to the old one. */
  async failOver(): Promise<void> {
    const { redis, namespace } = this.instances
    const keys = await redis.keys(`${namespace}:*`)
    const write = redis.multi()
    if (keys.length > 0) write.del(...keys)
    for (const [key, dump, endsAt] of this.snapshot) {
      write.restore(key, endsAt, dump, 'REPLACE', 'ABSTTL')
      if (key.endsWith(':state')) write.hset(key, 'r', 'the server before')
    }
    const returning = this.nodes.filter(({ cut }) => !cut)
    const opened = returning.map(connectionsOf)
    // None of them sees half of it.
    for (const { proxy } of this.nodes) proxy.refuse()
    for (const { proxy } of this.nodes) proxy.cut()
    await write.exec()
    await Promise.all(returning.map(({ proxy }) => proxy.heal()))
    await this.followed(returning, opened)
  }

  async close(): Promise<void> {
    this.letGo()
    await Promise.all(this.nodes.map(node => node.proxy.heal()))
    const disposed = this.nodes.map(node => node.cache.dispose({ deadline: 100 }))
    this.letGo()
    await Promise.all([...disposed, ...this.reads])
    for (const { client } of this.nodes) client.disconnect()
    await Promise.all(this.nodes.map(({ proxy }) => proxy[Symbol.asyncDispose]()))
    await this.instances[Symbol.asyncDispose]()
  }

  letGo(): void {
    for (const { letGo } of this.loads.splice(0)) letGo()
  }
}

type Step =
  | { readonly do: 'read' | 'change' | 'expire'; readonly at: number; readonly key: string }
  | { readonly do: 'deleteTag' | 'clear' | 'crash' | 'cut' | 'heal'; readonly at: number }
  | { readonly do: 'letGo' | 'replicate' | 'trim' | 'failOver' }

/** Goes up with each entry of the log that an instance has taken, or knows that it has missed. */
function heardBy(cache: Cache): number {
  const { invalidations = 0, gaps = 0 } = cache.stats().redis ?? {}
  return invalidations + gaps
}

/** Resolves when `holds` does, or when it has had time enough to: a read may be waiting for what only a later step brings. */
async function soon(holds: () => boolean): Promise<void> {
  const until = performance.now() + 100
  while (!holds() && performance.now() < until) await new Promise(resolve => setTimeout(resolve, 1))
}

/** To the log, so far. */
function connectionsOf({ cache }: Node): number {
  return cache.stats().redis?.connections ?? 0
}

const at = fc.nat({ max: INSTANCES - 1 })
const key = fc.constantFrom(...KEYS)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('read' as const), at, key }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('change' as const, 'expire' as const), at, key }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('deleteTag' as const, 'clear' as const, 'crash' as const, 'cut' as const, 'heal' as const),
      at,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('letGo' as const, 'letGo' as const, 'replicate' as const, 'trim' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('failOver' as const) }) },
)

async function take(world: World, now: Step): Promise<void> {
  if (!('at' in now)) {
    if (now.do === 'replicate') return world.replicate()
    if (now.do === 'trim') return world.trim()
    if (now.do === 'failOver') return world.failOver()
    world.letGo()
    // Until what was loaded is stored, too, where it can be.
    await soon(() => world.nodes.every(({ cut, cache }) => cut || cache.stats().loads.inFlight === 0))
    return
  }
  const node = world.nodes[now.at] as Node
  const { space, cache } = node
  switch (now.do) {
    case 'read': {
      const loads = world.loads.length
      const { waits } = space.stats
      const read = world.read(node, now.key)
      let isOver = false
      void read.finally(() => {
        isOver = true
      })
      await soon(() => isOver || world.loads.length > loads || space.stats.waits > waits)
      return
    }
    case 'change':
    case 'expire': {
      const { key: id } = now
      world.rows.set(id, (world.rows.get(id) as number) + 1)
      return world.invalidate(node, [id], () => (now.do === 'change' ? space.delete(id) : space.expire(id)))
    }
    case 'deleteTag':
    case 'clear':
      for (const id of KEYS) world.rows.set(id, (world.rows.get(id) as number) + 1)
      return world.invalidate(node, KEYS, () => (now.do === 'clear' ? space.clear() : cache.deleteByTag(TAG)))
    case 'crash': {
      // Without a word to anyone: leases stay, the outbox is lost.
      node.proxy.cut()
      node.client.disconnect()
      void cache.dispose({ deadline: 0 }).catch(() => {})
      if (node.cut) await node.proxy.heal()
      node.cut = false
      for (const known of [node.own, node.waiting, node.held]) known.clear()
      Object.assign(node, await world.connect(node.proxy, now.at))
      return
    }
    case 'cut':
      node.cut = true
      node.proxy.refuse()
      node.proxy.cut()
      // Until its trust has run out it may answer with what it has.
      return new Promise(resolve => setTimeout(resolve, MAX_LAG_MS))
    case 'heal': {
      if (!node.cut) return
      const opened = connectionsOf(node)
      await node.proxy.heal()
      await world.followed([node], [opened])
      node.cut = false
      node.held.clear()
      return
    }
  }
}

const readThere: readonly Step[] = [{ do: 'read', at: LAST, key: 'a' }, { do: 'letGo' }]
/** What chance seldom comes by: each of these has been got wrong by a protocol that lacked one step. */
const EXAMPLES: readonly (readonly Step[])[] = [
  // Told late: nothing is read before.
  [...readThere, { do: 'cut', at: LAST }, { do: 'change', at: LAST, key: 'a' }, { do: 'heal', at: LAST }],
  // Lost with the server that had acknowledged it: nothing from before is read, though no other instance has looked at it.
  [
    ...readThere,
    { do: 'replicate' },
    { do: 'change', at: 0, key: 'a' },
    { do: 'cut', at: 0 },
    { do: 'cut', at: 1 },
    { do: 'failOver' },
  ],
  // Missed, and trimmed since: nothing that was held is answered with.
  [
    { do: 'read', at: 0, key: 'a' },
    { do: 'letGo' },
    { do: 'cut', at: 0 },
    { do: 'change', at: 1, key: 'a' },
    { do: 'change', at: 1, key: 'b' },
    { do: 'trim' },
    { do: 'heal', at: 0 },
    { do: 'read', at: 0, key: 'a' },
  ],
]

describe('the protocol', () => {
  it('answers no read with what is older than an invalidation that was heard before it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async steps => {
        const world = new World()
        await world.open()
        try {
          for (const each of steps) await take(world, each)
          world.letGo()
          for (const node of world.nodes) for (const id of KEYS) void world.read(node, id)
          const settle = setInterval(() => world.letGo(), 10)
          await Promise.all(world.reads)
          clearInterval(settle)
        } finally {
          await world.close()
        }
      }),
      {
        numRuns: EXAMPLES.length + Number(process.env.MODEL_RUNS ?? 10),
        examples: EXAMPLES.map(steps => [[...steps]]),
        endOnFailure: true,
      },
    )
  }, 180_000)
})
