/**
 * The server that a client's commands go to, as far as it has been looked at: which one it is, what time it has, and whether
 * it has a successor. Nothing of that outlives the connection, or on a Cluster the route, by which it was seen.
 */

import { BreakwaterError, type Clock } from '@breakwater/kernel'
import type { Adopted } from './scripts.js'
import { ServerTime } from './server-time.js'

/** A server that was looked at, and since when there is the connection by which it was. */
export interface Sighting {
  readonly server: string
  readonly since: number
}

/**
 * Whether what was seen lies behind what was seen otherwise: another server, by a younger connection. Both are of one
 * instance, and each asks for the master when it connects.
 */
export function supersedes(other: Sighting | undefined, seen: Sighting): boolean {
  return other !== undefined && other.server !== seen.server && other.since > seen.since
}

export interface SeenServerParts {
  readonly clock: Clock
  /** Names the server that scripts are sent to, as far as the client knows: on a Cluster that changes without a word. */
  readonly route: () => string | undefined
  /** Looks at the server; see `adopt` in scripts.ts. */
  readonly adopt: () => Promise<Adopted>
  /** Whether this server has a successor, as far as this instance knows otherwise. */
  readonly hasSuccessor: (seen: Sighting) => boolean
}

export class SeenServer {
  readonly #parts: SeenServerParts
  readonly #time: ServerTime
  #sighting: Sighting | undefined
  /** Connections lost, and when the last was. */
  #losses = 0
  #lostAt: number
  #route: string | undefined
  #looking: Promise<void> | undefined

  constructor(parts: SeenServerParts) {
    this.#parts = parts
    this.#time = new ServerTime(parts.clock)
    this.#lostAt = parts.clock.now()
  }

  /** None on a connection by which none was seen. */
  get sighting(): Sighting | undefined {
    return this.#sighting
  }

  /** Whether there was another connection before this one. */
  get isReconnected(): boolean {
    return this.#losses > 0
  }

  /** The latest that it can be on the server, in ms. */
  get latestMs(): number {
    return this.#time.latest
  }

  /** The connection was lost: what the next one leads to has to be looked at. */
  lost(): void {
    this.#sighting = undefined
    this.#losses++
    this.#lostAt = this.#parts.clock.now()
  }

  /** Names the way that commands take now. What was asked on another way says nothing of this server. */
  way(): number {
    const route = this.#parts.route()
    if (route !== this.#route) {
      if (this.#route !== undefined) this.lost()
      this.#route = route
    }
    return this.#losses
  }

  /** Whether the server to which commands go now was looked at, and nobody has seen a successor of it. */
  isKnown(): boolean {
    this.way()
    return this.#sighting !== undefined && !this.#parts.hasSuccessor(this.#sighting)
  }

  /** Settles as `asking` does, unless a look at the server is due beside it and fails. */
  alsoLook<T>(asking: Promise<T>): Promise<T> {
    if (this.isKnown() && !this.#time.isOld) return asking
    return Promise.all([asking, this.look()]).then(([answer]) => answer)
  }

  /** @throws {BreakwaterError} kind `rejected`, code `REDIS_OUTDATED`, where the server has a successor. Else as `adopt` does. */
  look(): Promise<void> {
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #lookNow(): Promise<void> {
    const askedAt = this.#parts.clock.now()
    const [, serverMs, , , server] = await this.#parts.adopt()
    // If the connection was lost meanwhile, the client has asked again by the one that there is now.
    this.way()
    this.#sighting = { server, since: this.#lostAt }
    if (!this.isKnown()) throw outdated()
    this.#time.learn(serverMs, askedAt)
  }
}

function outdated(): BreakwaterError {
  const message =
    'Redis has a successor, on which the invalidation log is followed; the client is not connected to that yet'
  return new BreakwaterError('rejected', 'REDIS_OUTDATED', message)
}
