/** Gives a Redis master with two replicas and three Sentinels that watch it, on this machine, with failover on demand. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeRunFolder } from '../process/folders.js'
import { LocalServer } from '../process/local-server.js'
import { startOnFreePort } from '../process/start-local.js'
import type { RedisServer } from '../server.js'
import { findRedis } from './find-redis.js'
import { allOrNone, RedisNode, until } from './redis-node.js'
import { startRedis } from './start-redis.js'
import { answers, ask, infoField, parseTarget, type Reply, serverVersion } from './wire.js'

const REPLICAS = 2
const SENTINELS = 3
const NAME = 'primary'

/** Ms until a server that does not answer is taken for dead, and until a failover that got stuck is tried again. */
const DOWN_AFTER_MS = 1_000
const FAILOVER_TIMEOUT_MS = 2_000

/**
 * How often Sentinels look at the servers and hear of each other, and how long they do nothing once they find that they
 * were not run for a while themselves. By default they take some ten seconds to make a replica of a master that is back.
 * They promote no replica of which they have not heard for three looks or, when the master is dead, five pings: what they
 * look more often for than that, a busy machine makes them miss. Known to Redis 7 and later; with an older one all is as it
 * is by default, and slower.
 */
const PACE = ['INFO-PERIOD', '1000', 'PUBLISH-PERIOD', '250', 'TILT-PERIOD', '1000']

/** Starts the servers and resolves when the replicas have their copy and every Sentinel knows all others. */
export async function startRedisSentinels(): Promise<RedisSentinels> {
  // Without it a new replica is empty for five seconds.
  const options = { own: true, settings: { 'repl-diskless-sync-delay': '0' } }
  const servers = await allOrNone(Array.from({ length: 1 + REPLICAS }, () => startRedis(options)))
  const started: AsyncDisposable[] = [...servers]
  try {
    const [master, ...replicas] = servers.map(server => new RedisNode(server)) as [RedisNode, ...RedisNode[]]
    const { host, port } = master.server
    for (const replica of replicas) await replica.ask('REPLICAOF', host, port)
    for (const replica of replicas) {
      await until(async () => (await replica.info('replication', 'master_link_status')) === 'up')
    }
    const sentinels = await allOrNone(Array.from({ length: SENTINELS }, () => startSentinel(port)))
    started.push(...sentinels)
    const set = new RedisSentinels([master, ...replicas], sentinels)
    await set.formed()
    return set
  } catch (error) {
    await Promise.all(started.map(each => each[Symbol.asyncDispose]()))
    throw error
  }
}

async function startSentinel(masterPort: number): Promise<RedisServer> {
  const folder = await makeRunFolder('sentinel')
  try {
    const { command, env } = await findRedis()
    const url = (port: number): string => `redis://127.0.0.1:${port}`
    const started = await startOnFreePort(async port => {
      const config = join(folder.path, 'sentinel.conf')
      // A file, since a Sentinel writes what it learns into it.
      await writeFile(config, sentinelConfig(port, masterPort))
      return {
        name: 'Redis Sentinel',
        command,
        args: [config, '--sentinel'],
        env,
        folder: folder.path,
        stopSignal: 'SIGTERM',
        quitSignal: 'SIGKILL',
        answers: () => answers(parseTarget(url(port))),
      }
    })
    const { port } = started
    await ask(parseTarget(url(port)), 'SENTINEL', 'DEBUG', ...PACE).catch(() => undefined)
    const version = await serverVersion(parseTarget(url(port)))
    return new LocalServer(started.process, folder, { port, url: url(port), ca: undefined, version })
  } catch (error) {
    await folder[Symbol.asyncDispose]()
    throw error
  }
}

function sentinelConfig(port: number, masterPort: number): string {
  return `port ${port}
bind 127.0.0.1
sentinel monitor ${NAME} 127.0.0.1 ${masterPort} ${Math.ceil((SENTINELS + 1) / 2)}
sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}
sentinel failover-timeout ${NAME} ${FAILOVER_TIMEOUT_MS}
`
}

export class RedisSentinels implements AsyncDisposable {
  /** By which the Sentinels know the master. */
  readonly name = NAME
  readonly sentinels: readonly RedisServer[]
  readonly #nodes: readonly RedisNode[]

  constructor(nodes: readonly RedisNode[], sentinels: readonly RedisServer[]) {
    this.#nodes = nodes
    this.sentinels = sentinels
  }

  /** The servers that hold data, the master first to begin with. */
  get servers(): readonly RedisServer[] {
    return this.#nodes.map(node => node.server)
  }

  /** Returns the server that the Sentinels take for the master. */
  async master(): Promise<RedisServer> {
    return (await this.#master()).server
  }

  /**
   * Has the Sentinels promote a replica. They do so by themselves when the master is dead or frozen; this waits for it then.
   * Resolves with the new master when all Sentinels agree on it and it takes writes.
   */
  async failOver(): Promise<RedisServer> {
    const old = await this.#master()
    let askAgainAt = 0
    await until(async () => {
      const master = await this.#agreed()
      // One that has given it up does not try again by itself while the master lives. To ask one that has just done it would
      // have it done twice.
      if (master === old && old.server.isUp && performance.now() >= askAgainAt) {
        const reply = await this.#askSentinel(0, 'SENTINEL', 'FAILOVER', NAME)
        if (reply === 'OK') askAgainAt = performance.now() + 3 * FAILOVER_TIMEOUT_MS
      }
      return master !== undefined && master !== old
    })
    const promoted = await this.#master()
    for (const node of this.#nodes) if (node.server.isUp) await node.reconnect()
    return promoted.server
  }

  /** What the master acknowledges from now on reaches no replica, and is lost when one takes its place. */
  async cutOff(): Promise<void> {
    const master = await this.#master()
    for (const node of this.#nodes) if (node !== master) await node.cutOff(master)
  }

  /** Resolves when the Sentinels know the replicas and each other. */
  async formed(): Promise<void> {
    for (const [i] of this.sentinels.entries()) {
      await until(async () => {
        const fields = (await this.#askSentinel(i, 'SENTINEL', 'MASTER', NAME)) as string[]
        const field = (name: string): number => Number(fields[fields.indexOf(name) + 1])
        return field('num-slaves') === REPLICAS && field('num-other-sentinels') === SENTINELS - 1
      })
    }
  }

  /** Resolves when all is as it was made, whoever the master is: all servers run, and the others replicate it. */
  async whole(): Promise<void> {
    for (const node of this.#nodes) await until(async () => (await node.ask('PING')) === 'PONG')
    for (const node of this.#nodes) await node.reconnect()
    await until(async () => {
      const master = await this.#agreed()
      if (master === undefined) return false
      const others = this.#nodes.filter(node => node !== master)
      const masters = await Promise.all(others.map(node => node.info('replication', 'master_port')))
      const links = await Promise.all(others.map(node => node.info('replication', 'master_link_status')))
      return masters.every(port => port === String(master.server.port)) && links.every(link => link === 'up')
    })
    await this.formed()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.sentinels, ...this.servers]
    await Promise.all(all.map(server => server[Symbol.asyncDispose]()))
  }

  #askSentinel(index: number, ...words: string[]): Promise<Reply> {
    return ask(parseTarget((this.sentinels[index] as RedisServer).url), ...words)
  }

  /** The master that all Sentinels name, if it is one. */
  async #agreed(): Promise<RedisNode | undefined> {
    const ports = await Promise.all(
      this.sentinels.map(async (_, i) => {
        const address = (await this.#askSentinel(i, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)) as [string, string]
        return Number(address[1])
      }),
    )
    const node = this.#nodes.find(({ server }) => server.port === ports[0])
    if (node === undefined || ports.some(port => port !== ports[0])) return undefined
    if (node.server.isUp && infoField(await node.ask('INFO', 'replication'), 'role') !== 'master') return undefined
    return node
  }

  async #master(): Promise<RedisNode> {
    let master: RedisNode | undefined
    await until(async () => {
      master = await this.#agreed()
      return master !== undefined
    })
    return master as RedisNode
  }
}
