/** Caches as several processes would have them: each with a client of its own, all in one namespace. */

import { randomUUID } from 'node:crypto'
import { type Cluster, Redis } from 'ioredis'
import { Cache } from './cache.js'
import type { CacheOptions } from './options.js'

export interface Instances<C extends Redis | Cluster = Redis> extends AsyncDisposable {
  readonly namespace: string
  /** A client beside the caches, to look into Redis. */
  readonly redis: C
  /** The caches' clients. */
  readonly made: readonly C[]
  make(options?: Omit<CacheOptions, 'redis' | 'namespace'>): Cache
  /** One without Redis. */
  makeLocal(options?: Omit<CacheOptions, 'redis'>): Cache
}

/** @param namespace another's, to be instances of the same fleet. */
export function instancesOn(url: string, namespace?: string): Instances {
  return instancesWith(() => new Redis(url, { maxRetriesPerRequest: null, disconnectTimeout: 50 }), namespace)
}

/** @param open makes a client. */
export function instancesWith<C extends Redis | Cluster>(open: () => C, namespace = `t-${randomUUID()}`): Instances<C> {
  const clients: C[] = []
  const caches: Cache[] = []
  const connect = (): C => {
    const client = open()
    client.on('error', () => {})
    clients.push(client)
    return client
  }
  return {
    namespace,
    redis: connect(),
    get made() {
      return clients.slice(1)
    },
    make(options = {}) {
      // Generous, since a test machine may be slow, and by a clock of the test's own all of Redis is; a test of what is slow
      // sets its own.
      const redisTimeout = options.clock === undefined ? '3s' : '1h'
      const cache = new Cache({ redisTimeout, ...options, redis: connect(), namespace })
      caches.push(cache)
      return cache
    },
    makeLocal(options = {}) {
      const cache = new Cache(options)
      caches.push(cache)
      return cache
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(caches.map(cache => cache.dispose({ deadline: 200 })))
      for (const client of clients) client.disconnect()
    },
  }
}

/** Counts the scripts it was asked to run. */
export class CountingRedis extends Redis {
  asked = 0

  override sendCommand(...args: Parameters<Redis['sendCommand']>): unknown {
    if ((args[0] as { name: string }).name === 'evalsha') this.asked++
    return super.sendCommand(...args)
  }
}

interface Turn<V> {
  promise: Promise<V | null>
  resolve: (value: V | null) => void
  reject: (error: unknown) => void
}

/** A loader that the test lets go on by hand: its nth call settles as the nth `succeed` or `fail` says, whichever comes first. */
export class Gate<V> {
  calls = 0
  #settled = 0
  readonly #turns: Turn<V>[] = []
  readonly #entered: (() => void)[] = []

  readonly load = (): Promise<V | null> => {
    const turn = this.#turn(this.calls++)
    for (const resolve of this.#entered.splice(0)) resolve()
    return turn.promise
  }

  /** Resolves when the loader is called next. */
  entered(): Promise<void> {
    return new Promise(resolve => this.#entered.push(resolve))
  }

  succeed(value: V | null): void {
    this.#turn(this.#settled++).resolve(value)
  }

  fail(error: unknown): void {
    const turn = this.#turn(this.#settled++)
    turn.promise.catch(() => {})
    turn.reject(error)
  }

  #turn(index: number): Turn<V> {
    const existing = this.#turns[index]
    if (existing !== undefined) return existing
    let resolve!: (value: V | null) => void
    let reject!: (error: unknown) => void
    const promise = new Promise<V | null>((onValue, onError) => {
      resolve = onValue
      reject = onError
    })
    const turn = { promise, resolve, reject }
    this.#turns[index] = turn
    return turn
  }
}
