/** Finds out which connections are dead: before they are lent, by a question if they were idle for long, and in use. */

import type { Clock } from '@breakwater/kernel'
import { destroySocket, type PoolBase } from '../driver.js'
import { connectionDead } from '../pool-errors.js'
import type { ResolvedHealth } from '../pool-options.js'
import type { Connection } from './connection.js'
import { findDead } from './find-dead.js'
import { ping } from './ping.js'
import { SilenceWatch } from './silence.js'

/**
 * A connection at rest for longer may have been closed by the server without the process having read that yet, even if it
 * is not validated. Well above the step of the coarse clock, so that none is looked at under load.
 */
const LOOK_AGAIN_MS = 20
/** Two of these would cost a caller more than the rare query that finds its connection closed. */
const LONG_TURN_MS = 50

export interface HealthHooks {
  readonly name: string
  readonly pool: PoolBase
  readonly clock: Clock
  /** All connections that are not closed. */
  readonly connections: Iterable<Connection>
  readonly retire: (connection: Connection) => void
}

export class Health {
  readonly #hooks: HealthHooks
  readonly #silence: SilenceWatch | undefined

  /** @param limits undefined for no questions and no watch. */
  constructor(hooks: HealthHooks, limits: ResolvedHealth | undefined) {
    this.#hooks = hooks
    this.#silence = limits && watchSilence(hooks, limits)
  }

  /** Tells at once whether a connection was in use a moment ago, and is not known to be lost. */
  isFresh(connection: Connection): boolean {
    return connection.isUsable && this.#hooks.clock.coarse() - connection.restsSince < LOOK_AGAIN_MS
  }

  /** Resolves with whether a connection is usable, when what its socket has to say has been read. */
  async look(connection: Connection): Promise<boolean> {
    if (!this.isFresh(connection)) await unreadEvents(this.#hooks.clock)
    return connection.isUsable
  }

  /** Watches connections that are in use, from now until none is. */
  watch(): void {
    this.#silence?.arm()
  }

  /** Resolves with whether the server answers on an idle connection before the signal is aborted. */
  async isAlive(connection: Connection, signal: AbortSignal): Promise<boolean> {
    const isAlive = await ping(connection, signal)
    // No answer at all: the others at rest are as doubtful, and a caller has no time to have them asked one by one.
    if (signal.aborted) {
      for (const each of this.#hooks.connections) if (!each.lease && each !== connection) this.#hooks.retire(each)
    }
    return isAlive
  }
}

function watchSilence(hooks: HealthHooks, { deadAfterMs, timeoutMs }: ResolvedHealth): SilenceWatch {
  const { name, pool, clock, connections } = hooks
  return new SilenceWatch({
    clock,
    deadAfterMs,
    connections,
    findDead: silent => findDead(silent, { Client: pool.Client, clientOptions: pool.options }, timeoutMs, clock),
    onDead: ({ client }, silentMs) => destroySocket(client, connectionDead(name, silentMs)),
  })
}

/**
 * Resolves when what the system has for the sockets has been read: the rest of this turn's events, and then those that
 * have come since the turn began, unless turns are long and the wait costs more than it is worth.
 */
async function unreadEvents(clock: Clock): Promise<void> {
  const startedAt = clock.now()
  await turn()
  if (clock.now() - startedAt < LONG_TURN_MS) await turn()
}

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
