/** A Redis master and its replica, and for each instance a way to the master that can be cut and led elsewhere. */

import { type FaultProxy, type RedisServer, startProxy, startRedis } from '@breakwater/testkit'
import { Redis } from 'ioredis'

export class SoakServers implements AsyncDisposable {
  #master: RedisServer
  #replica: RedisServer
  readonly ways: readonly FaultProxy[]

  private constructor(master: RedisServer, replica: RedisServer, ways: readonly FaultProxy[]) {
    this.#master = master
    this.#replica = replica
    this.ways = ways
  }

  static async start(instances: number): Promise<SoakServers> {
    const settings = { 'repl-diskless-sync-delay': '0', 'repl-ping-replica-period': '1' }
    const [master, replica] = await Promise.all([
      startRedis({ own: true, settings }),
      startRedis({ own: true, settings }),
    ])
    const ways = await Promise.all(Array.from({ length: instances }, () => startProxy(master)))
    const servers = new SoakServers(master, replica, ways)
    await servers.#follow()
    return servers
  }

  get version(): string {
    return this.#master.version
  }

  /** The url of an instance. */
  urlOf(instance: number): string {
    return (this.ways[instance % this.ways.length] as FaultProxy).url(this.#master.url)
  }

  get master(): RedisServer {
    return this.#master
  }

  async run<T>(work: (redis: Redis) => Promise<T>, server: RedisServer = this.#master): Promise<T> {
    const redis = new Redis(server.url, { lazyConnect: true })
    redis.on('error', () => {})
    try {
      return await work(redis)
    } finally {
      redis.disconnect()
    }
  }

  /** The replica takes over, without what the master acknowledged in its last `lostMs`. The old master comes back as replica. */
  async failOver(lostMs: number): Promise<void> {
    this.#replica.hang()
    await new Promise(resolve => setTimeout(resolve, lostMs))
    await this.#master.kill()
    this.#replica.resume()
    const [dead, promoted] = [this.#master, this.#replica]
    await this.run(redis => redis.call('replicaof', 'no', 'one'), promoted)
    for (const way of this.ways) {
      way.redirect(promoted)
      way.cut()
    }
    this.#master = promoted
    this.#replica = dead
    await dead.start()
    await this.#follow()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.ways.map(way => way.close()))
    await Promise.all([this.#master[Symbol.asyncDispose](), this.#replica[Symbol.asyncDispose]()])
  }

  async #follow(): Promise<void> {
    const { host, port } = this.#master
    await this.run(async redis => {
      await redis.call('replicaof', host, String(port))
      while (!(await redis.info('replication')).includes('master_link_status:up')) {
        await new Promise(resolve => setTimeout(resolve, 20))
      }
    }, this.#replica)
  }
}
