/** The flights of one space: at most one for a key that may be joined, and what the last one failed with. */

import type { Clock } from '@breakwater/kernel'
import type { CacheKey } from '../keys.js'
import { Failures } from './failures.js'
import { Flight, type FlightOptions } from './flight.js'
import type { InFlight } from './in-flight.js'
import type { LoadPath, LoadRequest, Missed } from './load-path.js'
import type { ManyReads } from './many-reads.js'

export interface FlightsParts<V, K extends CacheKey> {
  readonly space: string
  readonly clock: Clock
  readonly inFlight: InFlight
  readonly path: LoadPath<V, K>
  /** They have no flights, and are fenced with them. */
  readonly many: ManyReads<V, K>
  readonly hardTimeoutMs: number
  readonly backoffMs: number
  /** Of the tags' clock, now. */
  tick(): number
}

export class Flights<V, K extends CacheKey> {
  readonly #parts: FlightsParts<V, K>
  readonly #flights = new Map<string, Flight<V>>()
  /** Not to be joined any more, and still waiting for whoever holds the lease. */
  readonly #fenced = new Set<Flight<V>>()
  readonly #options: FlightOptions<V>
  readonly failures: Failures

  constructor(parts: FlightsParts<V, K>) {
    this.#parts = parts
    const { space, clock, hardTimeoutMs } = parts
    this.#options = { space, clock, hardTimeoutMs, onAbandoned: (key, flight) => this.#remove(key, flight) }
    this.failures = new Failures(parts.clock, parts.backoffMs)
  }

  get(key: string): Flight<V> | undefined {
    return this.#flights.get(key)
  }

  /** No flight of it is under way, nor has one failed of late. */
  knowsNothingOf(key: string): boolean {
    return this.#flights.get(key) === undefined && this.failures.get(key) === undefined
  }

  /** @param missed what it was already looked for in vain. */
  // One tick from the look into the map to here: no await, or two callers would both start.
  start(request: LoadRequest<V, K>, missed?: Missed): Flight<V> {
    const { inFlight, path } = this.#parts
    const { key } = request
    const flight = new Flight<V>(key, this.#parts.tick(), this.#options)
    this.#flights.set(key, flight)
    inFlight.begin()
    const goOn = (why: Missed): void => {
      void this.#fly(flight, request, why === 'unreachable').then(() => inFlight.end())
    }
    if (missed !== undefined) {
      flight.watch()
      goOn(missed)
    } else {
      path.look(flight, request, look => {
        if (look !== 'found') return goOn(look)
        this.#remove(key, flight)
        inFlight.end()
      })
    }
    return flight
  }

  /** Keeps what is under way for a key from being kept and from being joined. */
  fence(key: string): void {
    this.failures.forget(key)
    this.#parts.many.fence(key)
    const flight = this.#flights.get(key)
    if (flight === undefined) return
    flight.fenced = true
    this.#flights.delete(key)
    this.#fenced.add(flight)
    flight.wake()
  }

  fenceWhere(isIt: (key: string) => boolean): void {
    for (const key of [...this.failures.keys(), ...this.#flights.keys(), ...this.#parts.many.keys()]) {
      if (isIt(key)) this.fence(key)
    }
  }

  wake(key: string): void {
    this.#flights.get(key)?.wake()
    for (const flight of this.#fenced) if (flight.key === key) flight.wake()
  }

  wakeAll(): void {
    for (const flight of [...this.#flights.values(), ...this.#fenced]) flight.wake()
  }

  /** Never rejects. */
  async #fly(flight: Flight<V>, request: LoadRequest<V, K>, pastRedis: boolean): Promise<void> {
    try {
      await this.#parts.path.run(flight, request, pastRedis)
    } catch (error) {
      if (!flight.fenced && !flight.abandoned) this.failures.note(request.key, error)
      flight.fail(error)
    } finally {
      this.#remove(request.key, flight)
    }
  }

  /** Only its own entry: after an invalidation the map may hold a younger flight. */
  #remove(key: string, flight: Flight<V>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
    this.#fenced.delete(flight)
  }
}
