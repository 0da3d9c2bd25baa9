/** A client whose replies come, and whose scripts go, when the test lets them. */

import { Redis, type RedisOptions } from 'ioredis'
import { adopt } from './redis/scripts.js'

export class HoldingRedis extends Redis {
  /** The cache's own connections. */
  readonly duplicates: HoldingRedis[] = []
  readonly #held = new Map<string, Promise<void>>()
  #stalled: Promise<void> | undefined
  /** Replies of reads that have come, held back or not. */
  reads = 0

  /** Keeps the replies to a command back from now on; returns what lets them go. */
  hold(command = 'mget'): () => void {
    const { promise, letGo } = gate()
    this.#held.set(command, promise)
    return letGo
  }

  /** Sends no script from now on, but for a look at the server; returns what lets them go. */
  stall(): () => void {
    const { promise, letGo } = gate()
    this.#stalled = promise
    return letGo
  }

  override duplicate(override?: Partial<RedisOptions>): never {
    const duplicate = new HoldingRedis({ ...this.options, ...override } as never)
    this.duplicates.push(duplicate)
    // A subtype of whatever the client's own says that it returns.
    return duplicate as never
  }

  override sendCommand(...args: Parameters<Redis['sendCommand']>): unknown {
    const { name, args: words } = args[0] as { name: string; args: unknown[] }
    const stalled = name === 'evalsha' && words[0] !== adopt.sha ? this.#stalled : undefined
    if (stalled !== undefined) return stalled.then(() => super.sendCommand(...args))
    const reply = super.sendCommand(...args) as Promise<unknown>
    if (name !== 'mget' && name !== 'xread' && !this.#held.has(name)) return reply
    return reply.then(async values => {
      if (name === 'mget') this.reads++
      await this.#held.get(name)
      return values
    })
  }
}

function gate(): { promise: Promise<void>; letGo: () => void } {
  let letGo = (): void => {}
  const promise = new Promise<void>(resolve => {
    letGo = resolve
  })
  return { promise, letGo }
}
