/**
 * A guard against penetration: a Bloom filter over all keys that exist, so that a read of one that does not costs the
 * database nothing.
 *
 * A filter that says "does not exist" of an existing row loses data for its reader, so here a "no" is believed only when
 * the shared bits in Redis say it too, in an epoch that is complete; every doubt is a "maybe", and lets the read through:
 *
 *   this process's copy says maybe      -> let through
 *   it says no, the shared bits maybe   -> let through (another instance has added the key)
 *   it says no, the shared bits no      -> the key does not exist
 *   no copy yet, no header, another epoch, bits lost, Redis down or slow -> let through, and see to it
 *
 * `add` is acknowledged by Redis before it resolves, and belongs before the COMMIT of the row: a rollback then leaves a
 * false positive, which is harmless. One instance builds, by a scan of the table; adds made while it scans go to the
 * shared bits of its epoch, and the scan is merged into them at the end.
 */

import { type Clock, Faults, type Logger } from '@breakwater/kernel'
import { type CacheKey, encodeKey } from '../keys.js'
import { Filter, type FilterShape, shapeFor } from './filter.js'
import type { BoundGuard, Guard, GuardSurroundings } from './guard.js'
import { BUILD_LEASE_MS, SharedBits, type SharedHeader } from './shared-bits.js'

export interface BloomGuardOptions {
  /** Yields every key that exists, in the forms that `get` is called with; called by the one instance that builds. */
  scan: (context: { signal: AbortSignal }) => AsyncIterable<CacheKey> | Iterable<CacheKey>
  /** Keys to hold, 1 to 100 million. Above it the error rate grows. */
  expected: number
  /** Part of absent keys that are let through, more than 0 and less than 1. Default 0.01. */
  errorRate?: number
}

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000
const POLL_BUILDER_MS = 100
/** A scan gives the event loop a turn after this many keys. */
const KEYS_A_TURN = 5_000

/**
 * Declares a guard, for the `guard` option of a space.
 *
 * @throws {BreakwaterError} kind `usage`, code `GUARD_OPTIONS_INVALID`, naming every fault.
 */
export function bloomGuard(options: BloomGuardOptions): Guard {
  const { scan, expected, errorRate = 0.01 } = options
  const faults = new Faults()
  faults.unknownKeys(options, ['scan', 'expected', 'errorRate'])
  faults.check(typeof scan === 'function', 'scan must be a function that yields keys')
  faults.check(
    Number.isInteger(expected) && expected >= 1 && expected <= 1e8,
    `expected must be a whole number of 1 to 100 million, not ${expected}`,
  )
  faults.check(errorRate > 0 && errorRate < 1, `errorRate must be more than 0 and less than 1, not ${errorRate}`)
  faults.throwIfAny('GUARD_OPTIONS_INVALID', 'bloomGuard')
  return { bind: around => new BloomGuard(scan, expected, shapeFor(expected, errorRate), around) }
}

class BloomGuard implements BoundGuard {
  state: BoundGuard['state'] = 'building'

  readonly #scan: BloomGuardOptions['scan']
  readonly #expected: number
  readonly #shape: FilterShape
  readonly #space: string
  readonly #clock: Clock
  readonly #logger: Logger | undefined
  readonly #shared: SharedBits | undefined
  readonly #forget: GuardSurroundings['forget']
  readonly #disposed = new AbortController()
  /** The copy; meaningful while `state` is ready. */
  #filter: Filter
  /** The copy being filled, so that an add made meanwhile is in it. */
  #filling: Filter | undefined
  /** The shared bits that the copy is of. */
  #header: SharedHeader | undefined
  #preparing: Promise<void> | undefined

  constructor(scan: BloomGuardOptions['scan'], expected: number, shape: FilterShape, around: GuardSurroundings) {
    this.#scan = scan
    this.#expected = expected
    this.#shape = shape
    this.#space = around.space
    this.#clock = around.clock
    this.#logger = around.logger
    this.#filter = new Filter(shape)
    this.#shared = around.shard && new SharedBits(around.shard, around.space)
    this.#forget = key => around.forget(key)
  }

  mayContain(key: string): boolean | Promise<boolean> {
    if (this.state !== 'ready') {
      this.#prepareBehind()
      return true
    }
    if (this.#filter.has(key)) return true
    if (this.#shared === undefined || this.#header === undefined) return false
    return this.#confirm(key, this.#shared, this.#header)
  }

  async add(id: CacheKey): Promise<void> {
    const key = encodeKey(id)
    this.#filter.add(key)
    this.#filling?.add(key)
    // In any order: until both are done nobody counts on either. On Cluster they lie in two shards.
    await Promise.all([this.#shared?.add(key, this.#header), this.#forget(key)])
  }

  async init(signal: AbortSignal): Promise<void> {
    while (this.state !== 'ready') {
      this.#disposed.signal.throwIfAborted()
      this.#preparing ??= this.#prepare(signal).finally(() => {
        this.#preparing = undefined
      })
      await this.#preparing
    }
  }

  dispose(): void {
    this.state = 'suspect'
    this.#disposed.abort(new Error('the guard has been disposed of'))
  }

  async #confirm(key: string, shared: SharedBits, header: SharedHeader): Promise<boolean> {
    let answer: 'maybe' | 'no' | 'unknown'
    try {
      answer = await shared.check(key, header)
    } catch {
      // Redis did not answer: the copy may still be right, so it is kept.
      return true
    }
    if (answer === 'no') return false
    if (answer === 'maybe') this.#filter.add(key)
    else this.#suspect()
    return true
  }

  #suspect(): void {
    if (this.state !== 'ready') return
    this.state = 'suspect'
    this.#logger?.warn(
      { event: 'guard.suspect', space: this.#space },
      `guard of "${this.#space}": the shared bits are gone or others; letting every read through until they are built again`,
    )
    this.#prepareBehind()
  }

  #prepareBehind(retryMs = FIRST_RETRY_MS): void {
    if (this.#preparing !== undefined || this.#disposed.signal.aborted) return
    this.init(this.#disposed.signal).catch((error: unknown) => {
      if (this.#disposed.signal.aborted) return
      this.#logger?.warn(
        { event: 'guard.failed', space: this.#space, err: error },
        `guard of "${this.#space}" could not be filled; next try in ${retryMs} ms`,
      )
      // Holds the place, so that reads do not try again before it is time.
      this.#preparing = this.#pause(retryMs, this.#disposed.signal).then(
        () => {
          this.#preparing = undefined
          this.#prepareBehind(Math.min(LAST_RETRY_MS, retryMs * 2))
        },
        () => {},
      )
    })
  }

  /** Makes the copy ready: from the shared bits if they are complete, else by building them, here or on another instance. */
  async #prepare(signal: AbortSignal): Promise<void> {
    if (this.#shared === undefined) {
      await this.#fillFromScan(signal)
    } else {
      while (!(await this.#fetch(this.#shared)) && !(await this.#build(this.#shared, signal))) {
        await this.#pause(POLL_BUILDER_MS, signal)
      }
    }
    signal.throwIfAborted()
    this.state = 'ready'
  }

  async #fetch(shared: SharedBits): Promise<boolean> {
    const header = await shared.look()
    if (header === undefined || !header.ready) return false
    const filter = await shared.fetch(header)
    if (filter === undefined) return false
    this.#filter = filter
    this.#header = header
    return true
  }

  async #build(shared: SharedBits, signal: AbortSignal): Promise<boolean> {
    const epoch = await shared.begin(this.#shape)
    if (epoch === undefined) return false
    const renewing = new AbortController()
    const renewed = this.#keepRenewing(shared, epoch, renewing.signal)
    try {
      const entries = await this.#fillFromScan(signal)
      if (!(await shared.finish(epoch, this.#filter, entries))) return false
      this.#header = { epoch, shape: this.#shape, ready: true }
      return true
    } catch (error) {
      await shared.abandon(epoch).catch(() => {})
      throw error
    } finally {
      renewing.abort()
      await renewed
    }
  }

  async #fillFromScan(signal: AbortSignal): Promise<number> {
    const filter = new Filter(this.#shape)
    this.#filling = filter
    let entries = 0
    try {
      for await (const id of this.#scan({ signal })) {
        filter.add(encodeKey(id))
        if (++entries % KEYS_A_TURN === 0) {
          signal.throwIfAborted()
          await new Promise(resolve => setImmediate(resolve))
        }
      }
    } finally {
      this.#filling = undefined
    }
    this.#filter = filter
    if (entries > this.#expected) {
      this.#logger?.warn(
        { event: 'guard.oversized', space: this.#space, entries, expected: this.#expected },
        `guard of "${this.#space}" holds ${entries} keys and was sized for ${this.#expected}: raise "expected", more absent keys get through than its error rate says`,
      )
    }
    return entries
  }

  async #keepRenewing(shared: SharedBits, epoch: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await this.#pause(BUILD_LEASE_MS / 3, signal)
      } catch {
        return
      }
      await shared.renew(epoch).catch(() => {})
    }
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        timer.cancel()
        reject(signal.reason)
      }
      const timer = this.#clock.schedule(ms, () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort, { once: true })
    })
  }
}
