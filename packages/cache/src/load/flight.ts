/**
 * One key being read or loaded in this process: all its callers share one outcome, a value or an error.
 *
 * A flight that has a stale value to fall back on gives it to those who have waited for the soft time-out, or when it fails.
 * Who has waited for the hard time-out is told so. Neither ends the flight: it ends by its load, or when all who asked for
 * it have aborted.
 */

import { BreakwaterError, type Clock, type Timer } from '@breakwater/kernel'
import { Lenders, type Place } from './miss-budget.js'

/** Where an answer came from. */
export type Source = 'memory' | 'redis' | 'loader' | 'stale' | 'absent'

export interface Outcome<V> {
  readonly value: V | null
  readonly source: Source
  /** Ms since the value was stored, 0 for one just loaded. */
  readonly age: number
}

/** A read under way, as far as what it brings may be kept. */
export interface Passage {
  /** The tags' clock when it began. */
  readonly tick: number
  readonly startedAt: number
  /** The key was invalidated since: no tier may keep it. */
  readonly fenced: boolean
}

/** What the flights of a space have in common. */
export interface FlightOptions<V> {
  readonly space: string
  readonly clock: Clock
  readonly hardTimeoutMs: number
  /** Nobody waits for it any more: it is not to be joined. */
  readonly onAbandoned: (key: string, flight: Flight<V>) => void
}

/** What is rejected with nobody to hear it must not end the process. */
const unheard = (): void => {}

export class Flight<V> implements Passage {
  readonly key: string
  readonly tick: number
  /**
   * The key was invalidated while this flight was under way: its callers, who asked before that, may have its result,
   * but nobody after them, and no tier may keep it.
   */
  fenced = false
  outcome: Promise<Outcome<V>>
  readonly startedAt: number

  readonly #options: FlightOptions<V>
  #resolve!: (outcome: Outcome<V>) => void
  #reject!: (error: unknown) => void
  #hardTimer: Timer | undefined
  #softTimer: Timer | undefined
  #fallback: { readonly outcome: Outcome<V>; readonly until: number } | undefined
  #woken = false
  #wake: (() => void) | undefined
  /** Someone waits who cannot abort, or it runs behind its callers. */
  #wantedAnyway = false
  #waiting = 0
  #abandoned: { readonly reason: unknown } | undefined
  #onAbandoned: ((reason: unknown) => void) | undefined
  /** Called when its loader is. */
  whenBegun: (() => void) | undefined
  #lenders: Lenders | undefined

  constructor(key: string, tick: number, options: FlightOptions<V>) {
    this.key = key
    this.tick = tick
    this.#options = options
    this.startedAt = options.clock.now()
    this.outcome = this.#open()
  }

  /** The loads that wait for it. */
  get lenders(): Lenders {
    this.#lenders ??= new Lenders()
    return this.#lenders
  }

  #open(): Promise<Outcome<V>> {
    return new Promise<Outcome<V>>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Begins to watch over the hard time-out, which counts from the flight's beginning. Not watched where something shorter ends it. */
  watch(): void {
    const { clock, hardTimeoutMs } = this.#options
    if (hardTimeoutMs === Number.POSITIVE_INFINITY || this.#hardTimer !== undefined || this.settled) return
    this.#giveUpWaitingIn(hardTimeoutMs - (clock.now() - this.startedAt))
  }

  #giveUpWaitingIn(ms: number): void {
    const { clock } = this.#options
    this.#hardTimer = clock.schedule(Math.max(0, ms), () => this.#giveUpWaiting(), { keepAlive: true })
  }

  /** Those who have waited for the whole hard time-out are told; the load goes on, and later callers join it afresh. */
  #giveUpWaiting(): void {
    const reject = this.#reject
    const { hardTimeoutMs, space } = this.#options
    this.outcome.catch(unheard)
    this.outcome = this.#open()
    this.#giveUpWaitingIn(hardTimeoutMs)
    const message = `space "${space}": no value after ${hardTimeoutMs} ms; the load goes on`
    reject(new BreakwaterError('timeout', 'CACHE_LOAD_TIMEOUT', message, { elapsedMs: hardTimeoutMs }))
  }

  /**
   * Joins the flight as one who waits for it: until the end, or until `signal` is aborted.
   *
   * @param place of the load that waits for it, if it is one.
   */
  join(signal: AbortSignal | undefined, place: Place | undefined): Promise<Outcome<V>> {
    if (place !== undefined) this.lenders.add(place)
    if (signal === undefined) {
      this.#wantedAnyway = true
      return this.outcome
    }
    this.#waiting++
    return new Promise<Outcome<V>>((resolve, reject) => {
      const leave = (): void => {
        reject(signal.reason)
        if (--this.#waiting === 0 && !this.#wantedAnyway) this.#abandon(signal.reason)
      }
      if (signal.aborted) return leave()
      signal.addEventListener('abort', leave, { once: true })
      const stay = (): void => signal.removeEventListener('abort', leave)
      this.outcome.then(
        outcome => {
          stay()
          resolve(outcome)
        },
        (error: unknown) => {
          stay()
          reject(error)
        },
      )
    })
  }

  /** It runs behind its callers: nobody's leaving ends it. */
  runBehind(): void {
    this.#wantedAnyway = true
  }

  /** Ends the flight: nobody waits for it any more. */
  #abandon(reason: unknown): void {
    if (this.settled) return
    this.#abandoned = { reason }
    this.#options.onAbandoned(this.key, this)
    this.#onAbandoned?.(reason)
    this.wake()
  }

  get abandoned(): boolean {
    return this.#abandoned !== undefined
  }

  throwIfAbandoned(): void {
    if (this.#abandoned !== undefined) throw this.#abandoned.reason
  }

  /** Has `act` called when nobody waits any more; at most one at a time. */
  whenAbandoned(act: (reason: unknown) => void): void {
    if (this.#abandoned !== undefined) act(this.#abandoned.reason)
    else this.#onAbandoned = act
  }

  /** Someone has been given an answer already, so a later failure is nobody's error. */
  settled = false

  /** A stale value for those who have waited for `afterMs`, and for all if the flight fails; servable for `leftMs`. */
  fallBackOn(outcome: Outcome<V>, afterMs: number, leftMs: number): void {
    if (this.settled) return
    if (afterMs === 0) {
      this.settle(outcome)
      return
    }
    const { clock } = this.#options
    this.#fallback = { outcome, until: clock.now() + leftMs }
    this.#softTimer?.cancel()
    this.#softTimer = clock.schedule(Math.min(afterMs, leftMs), () => this.settle(outcome), { keepAlive: true })
  }

  settle(outcome: Outcome<V>): void {
    this.settled = true
    this.#cancelTimers()
    this.#resolve(outcome)
  }

  fail(error: unknown): void {
    const fallback = this.#fallback
    if (fallback !== undefined && this.#options.clock.now() < fallback.until) {
      this.settle(fallback.outcome)
      return
    }
    this.#cancelTimers()
    // Whoever asked handles it; a refresh behind has nobody.
    this.outcome.catch(unheard)
    this.#reject(error)
  }

  #cancelTimers(): void {
    this.#hardTimer?.cancel()
    this.#softTimer?.cancel()
  }

  /** Forgets earlier wake-ups; call it before asking Redis, so that one that overtakes the reply is not lost. */
  listen(): void {
    this.#woken = false
  }

  /** The holder of the lease is done: look again. */
  wake(): void {
    this.#woken = true
    this.#wake?.()
  }

  /** Resolves at the next wake-up since `listen()`, or after `timeoutMs`. */
  async waitForWake(timeoutMs: number): Promise<void> {
    if (this.#woken) return
    await new Promise<void>(resolve => {
      const timer = this.#options.clock.schedule(timeoutMs, resolve, { keepAlive: true })
      this.#wake = () => {
        timer.cancel()
        resolve()
      }
    })
    this.#wake = undefined
  }
}
