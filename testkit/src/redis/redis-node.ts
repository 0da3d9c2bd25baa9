/** A node of a topology: a server that can be frozen, killed and started again, and asked by the test kit itself. */

import type { RedisServer } from '../server.js'
import { ask, infoField, parseTarget, type Reply } from './wire.js'

export class RedisNode {
  readonly server: RedisServer

  constructor(server: RedisServer) {
    this.server = server
  }

  ask(...words: (string | number)[]): Promise<Reply> {
    return ask(parseTarget(this.server.url), ...words)
  }

  async info(section: string, field: string): Promise<string | undefined> {
    return infoField(await this.ask('INFO', section), field)
  }

  /**
   * What its master writes from now on does not reach it: its link is cut, and it introduces itself as somebody whom the
   * master does not know.
   */
  async cutOff(master: RedisNode): Promise<void> {
    await this.ask('CONFIG', 'SET', 'masteruser', 'nobody', 'masterauth', 'nothing')
    // Right after a failover it may not be a replica yet, and then has no link. One that is just introducing itself is not
    // killed as one, and has one a moment later.
    let looks = 0
    await until(async () => {
      await master.ask('CLIENT', 'KILL', 'TYPE', 'replica')
      looks = (await this.info('replication', 'master_link_status')) === 'up' ? 0 : looks + 1
      return looks === 3
    })
  }

  /** Ends `cutOff`. */
  async reconnect(): Promise<void> {
    await this.ask('CONFIG', 'SET', 'masteruser', '', 'masterauth', '')
  }
}

const POLL_MS = 20
const WITHIN_MS = 20_000

/** Resolves when `holds` does; an error of it counts as "not yet". */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  const startedAt = performance.now()
  for (;;) {
    let last: unknown
    try {
      if (await holds()) return
    } catch (error) {
      last = error
    }
    if (performance.now() - startedAt > WITHIN_MS) {
      throw new Error(`not within ${WITHIN_MS} ms: ${holds}`, { cause: last })
    }
    await new Promise(resolve => setTimeout(resolve, POLL_MS))
  }
}

/** Runs all and waits for all; on a failure disposes of what was made, and throws it. */
export async function allOrNone<T extends AsyncDisposable>(making: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(making)
  const made = outcomes.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  const failure = outcomes.find(outcome => outcome.status === 'rejected')
  if (failure === undefined) return made
  await Promise.all(made.map(each => each[Symbol.asyncDispose]()))
  throw failure.reason
}
