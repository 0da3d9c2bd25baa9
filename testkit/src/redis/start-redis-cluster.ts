/** Gives a Redis Cluster on this machine, with failover and resharding on demand. */

import { freePort } from '../process/port.js'
import type { RedisServer } from '../server.js'
import { allOrNone, RedisNode, until } from './redis-node.js'
import { startRedis } from './start-redis.js'
import { infoField } from './wire.js'

const SLOTS = 16_384

/** Ms until a node that does not answer is taken for dead. Below 2 s, a machine under load loses nodes that are well. */
const NODE_TIMEOUT_MS = 2_000

export interface ClusterOptions {
  /** Default 3. */
  masters?: number
  /** A replica for each master. Default: true. */
  replicas?: boolean
}

/** Starts the servers and resolves when every node knows all others, all slots are owned and every replica has its copy. */
export async function startRedisCluster({ masters = 3, replicas = true }: ClusterOptions = {}): Promise<RedisCluster> {
  const nodes = await allOrNone(Array.from({ length: masters * (replicas ? 2 : 1) }, startNode))
  const cluster = new RedisCluster(nodes, masters)
  try {
    await cluster.form()
    return cluster
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
}

class ClusterNode extends RedisNode {
  /** By default 10,000 above its port, where outgoing connections take theirs. */
  readonly busPort: number

  constructor(server: RedisServer, busPort: number) {
    super(server)
    this.busPort = busPort
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
  }
}

async function startNode(): Promise<ClusterNode> {
  const busPort = await freePort()
  const server = await startRedis({
    own: true,
    settings: {
      'cluster-enabled': 'yes',
      'cluster-port': String(busPort),
      // A node alone would not know where it is.
      'cluster-announce-ip': '127.0.0.1',
      'cluster-node-timeout': String(NODE_TIMEOUT_MS),
      // A replica may be promoted however long it has been without its master.
      'cluster-replica-validity-factor': '0',
      // Without it a new replica is empty for five seconds.
      'repl-diskless-sync-delay': '0',
      // CLUSTER SLOTS names a replica only when it has received something.
      'repl-ping-replica-period': '1',
    },
  })
  return new ClusterNode(server, busPort)
}

export class RedisCluster implements AsyncDisposable {
  readonly #nodes: readonly ClusterNode[]
  readonly #masters: number

  /** @param masters how many of the first nodes are masters. */
  constructor(nodes: readonly ClusterNode[], masters: number) {
    this.#nodes = nodes
    this.#masters = masters
  }

  /** All servers, the masters first to begin with. */
  get servers(): readonly RedisServer[] {
    return this.#nodes.map(node => node.server)
  }

  /** Returns the master that owns `slot`, as a node that runs sees it. */
  async owner(slot: number): Promise<RedisServer> {
    return (await this.#ownerOf(slot)).server
  }

  /**
   * Has the replica of the master that owns `slot` take its place: in agreement with the master, so that nothing is lost; or,
   * if that one is dead, frozen or `cutOff`, without asking anybody. Resolves with the new master when all nodes that run
   * agree on it.
   */
  async failOver(slot: number): Promise<RedisServer> {
    const old = await this.#ownerOf(slot)
    const replica = await this.#replicaOf(old)
    const inOrder = old.server.isUp && (await replica.info('replication', 'master_link_status')) === 'up'
    await replica.ask('CLUSTER', 'FAILOVER', ...(inOrder ? [] : ['TAKEOVER']))
    await this.#agreeOn(slot, replica)
    await replica.reconnect()
    return replica.server
  }

  /** What the master that owns `slot` acknowledges from now on does not reach its replica, and is lost by `failOver`. */
  async cutOff(slot: number): Promise<void> {
    const owner = await this.#ownerOf(slot)
    await (await this.#replicaOf(owner)).cutOff(owner)
  }

  /** Moves `slot` with its keys to another master; `meanwhile` runs when the keys have moved and not yet the slot. */
  async moveSlot(slot: number, meanwhile: () => Promise<void> = async () => {}): Promise<void> {
    const from = await this.#ownerOf(slot)
    const to = await this.#ownerOf((slot + SLOTS / 2) % SLOTS)
    const [fromId, toId] = await Promise.all([idOf(from), idOf(to)])
    await to.ask('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)
    await from.ask('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)
    for (;;) {
      const keys = (await from.ask('CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[]
      if (keys.length === 0) break
      await from.ask('MIGRATE', to.server.host, to.server.port, '', 0, 5_000, 'KEYS', ...keys)
    }
    await meanwhile()
    await to.ask('CLUSTER', 'SETSLOT', slot, 'NODE', toId)
    await from.ask('CLUSTER', 'SETSLOT', slot, 'NODE', toId)
    await this.#agreeOn(slot, to)
  }

  /** Makes a cluster of the servers. */
  async form(): Promise<void> {
    const masters = this.#nodes.slice(0, this.#masters)
    const replicas = this.#nodes.slice(this.#masters)
    const [first] = masters as [ClusterNode, ...ClusterNode[]]
    const share = Math.ceil(SLOTS / masters.length)
    for (const [i, master] of masters.entries()) {
      const last = Math.min(SLOTS, (i + 1) * share) - 1
      await master.ask('CLUSTER', 'ADDSLOTSRANGE', i * share, last)
    }
    for (const [i, node] of this.#nodes.entries()) {
      await node.ask('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
      const { host, port } = first.server
      if (node !== first) await node.ask('CLUSTER', 'MEET', host, port, first.busPort)
    }
    await this.#everywhere(async node => {
      const info = await node.ask('CLUSTER', 'INFO')
      return infoField(info, 'cluster_known_nodes') === String(this.#nodes.length)
    })
    for (const [i, replica] of replicas.entries()) {
      await replica.ask('CLUSTER', 'REPLICATE', await idOf(masters[i] as ClusterNode))
    }
    for (const replica of replicas) {
      await until(async () => (await replica.info('replication', 'master_link_status')) === 'up')
    }
    await this.#everywhere(node => this.#knowsAll(node))
  }

  /** Resolves when all is as it was made, whoever the masters are: all nodes run, and every master has its replica. */
  async whole(): Promise<void> {
    for (const node of this.#nodes) await until(async () => (await node.ask('PING')) === 'PONG')
    for (const node of this.#nodes) await node.reconnect()
    const replicas = this.#nodes.length - this.#masters
    await until(async () => {
      const links = await Promise.all(this.#nodes.map(node => node.info('replication', 'master_link_status')))
      return links.filter(link => link === 'up').length === replicas
    })
    await this.#everywhere(node => this.#knowsAll(node))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map(node => node[Symbol.asyncDispose]()))
  }

  async #ownerOf(slot: number): Promise<RedisNode> {
    for (const node of this.#nodes) {
      if (!node.server.isUp) continue
      const port = await portOfOwner(node, slot)
      const owner = this.#nodes.find(({ server }) => server.port === port)
      if (owner !== undefined) return owner
    }
    throw new Error(`no node knows who owns slot ${slot}`)
  }

  async #replicaOf(master: RedisNode): Promise<RedisNode> {
    for (const node of this.#nodes) {
      if (node === master || !node.server.isUp) continue
      if ((await node.info('replication', 'master_port')) === String(master.server.port)) return node
    }
    throw new Error(`the master on port ${master.server.port} has no replica that runs`)
  }

  /** Whether a node knows who owns each slot, and who is the replica. */
  async #knowsAll(node: RedisNode): Promise<boolean> {
    const ranges = (await node.ask('CLUSTER', 'SLOTS')) as unknown[][]
    const isOk = infoField(await node.ask('CLUSTER', 'INFO'), 'cluster_state') === 'ok'
    // A range is its ends, then its master and its replica.
    const length = 2 + this.#nodes.length / this.#masters
    return isOk && ranges.every(range => range.length === length)
  }

  #agreeOn(slot: number, owner: RedisNode): Promise<void> {
    return this.#everywhere(async node => (await portOfOwner(node, slot)) === owner.server.port)
  }

  async #everywhere(holds: (node: RedisNode) => Promise<boolean>): Promise<void> {
    const up = this.#nodes.filter(({ server }) => server.isUp)
    await Promise.all(up.map(node => until(() => holds(node))))
  }
}

async function idOf(node: RedisNode): Promise<string> {
  return String(await node.ask('CLUSTER', 'MYID'))
}

async function portOfOwner(node: RedisNode, slot: number): Promise<number | undefined> {
  const ranges = (await node.ask('CLUSTER', 'SLOTS')) as [number, number, [string, number, string]][]
  return ranges.find(([first, last]) => first <= slot && slot <= last)?.[2][1]
}
