/**
 * A guard against penetration: a Bloom filter [1] over all keys that exist, so that a read of one that does not costs the
 * database nothing. Such a filter is wrong in one direction only, and every guard that we know of is wrong in the other
 * one too: it tells a reader that an existing row does not exist, after a lost key, a failover, an insert by another
 * instance, a rebuild. This one must not. The rule behind everything here: "no" needs proof, and any doubt is a "maybe",
 * which lets the read through.
 *
 *      writer                         Redis                            reader, another instance
 *      | BEGIN                        header: ready, epoch e            | copy of e: no for 42
 *      | add(42) -------------------> 42 into the bits of e (and of     |
 *      |                              the next epoch, if one is         |
 *      |                              being filled), sequence 7,        |
 *      |                              "7: 42" into the log -----------> | 42 into the copy
 *      |                              copies believed: the reader's <-- | heard of 7
 *      | <--- recorded, and heard by                                    |
 *      |      every copy believed                                       |
 *      | INSERT 42, COMMIT                                              | get(42): maybe, so it is read
 *
 * 1. The shared bits. A row's key is in them before its COMMIT, so whoever asks Redis after the COMMIT hears "maybe". Header and
 *    bits are read in one script, with the length of every chunk that is touched; a header that is gone, of another epoch or
 *    hashed otherwise, or a chunk that was evicted is "unknown". A restart or a failover may have lost adds that were
 *    acknowledged: the header names the history of writes that it belongs to (the id that replication gives to it), and on a
 *    server with another one it counts for nothing. A replica answers nothing.
 *
 * 2. Copies. An instance's copy is fed by the log, so it is late by a millisecond or, when the instance stood still, by any time.
 *    Its "no" is believed without asking Redis only under a lease [2]: Redis notes that the instance answers by itself for
 *    half a second, and `add` does not resolve before all instances so noted have heard of it or their time is over. The
 *    reader counts its time from before it asked, on the exact clock, so it ends earlier here than there. It is prolonged
 *    only if the copy has heard of all that was recorded before its last prolongation: one that hears nothing more is
 *    believed for two of its times at most. Without the lease a "no" costs one round trip, shared by all that ask at once.
 *
 * 3. Adds that are not acknowledged. The writer must not wait for ever, and its row will exist. So every instance also lets Redis
 *    know that it is there (presence.ts), and stops when it owes an add (debts.ts). Once it is overdue, all checks answer
 *    "unknown": only then the add resolves. When the instance is back and has told what it owed, the guard closes again as
 *    if nothing had been; when it does not come back, it is given up and the filter is built anew.
 *
 * 4. Building. Some instance takes the right to build and opens a next epoch: from that step on every add goes to both. Then
 *    it waits until all transactions have ended that were open at that step, as CREATE INDEX CONCURRENTLY does [3], and
 *    only then scans the table. Take any row that commits. If its add came after the step, the next epoch has it. If it came
 *    before, its transaction was open at the step, or had ended; either way it has ended before the scan, which finds the
 *    row. This is why `add` belongs inside the transaction. The scan is merged into what was added meanwhile, chunk by
 *    chunk, and one script makes it the epoch that answers. An epoch is built when there is none, when it is doubted, when it is
 *    old (deleted rows leave their bits behind), and when it holds so many keys that its error rate has doubled.
 *
 * 5. What nobody foresaw. A share of the "no" answers is looked up in the database. A row that is found there, and that the
 *    bits still deny after it was found, was inserted past the guard or lost by it: counted, all instances open, and the
 *    filter is built anew.
 *
 * What is left: a server that a partition keeps apart, and that still takes itself for the master, answers from its own past:
 * `min-replicas-to-write` bounds that. A clock of the server that jumps forward ends leases there that still hold here, for
 * TRUST_MS. An instance that alone is cut off from Redis while it inserts is waited for, with
 * all guards open, for FORGET_MS; rows that it inserts after that are denied by the others until it is back.
 *
 * Sources: [1] Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 1970. [2] Gray and Cheriton,
 * "Leases: an efficient fault-tolerant mechanism for distributed file cache consistency", SOSP 1989. [3] PostgreSQL,
 * "Building indexes concurrently", CREATE INDEX.
 */

import { randomBytes } from 'node:crypto'
import { BreakwaterError, type Clock, type Logger, pause } from '@breakwater/kernel'
import { type CacheKey, encodeKey } from '../keys.js'
import { TurnBatch } from '../load/turn-batch.js'
import { Audit } from './audit.js'
import { Copy } from './copy.js'
import { Debts } from './debts.js'
import { errorRateOf, Filter, type FilterShape, shapeFor } from './filter.js'
import type { BoundGuard, Guard, GuardStats, GuardSurroundings } from './guard.js'
import {
  type BloomGuardOptions,
  MOST_EXPECTED,
  type ResolvedGuardOptions,
  resolveGuardOptions,
} from './guard-options.js'
import { GuardState } from './guard-state.js'
import { HeardElsewhere } from './heard-elsewhere.js'
import { isAbove } from './high-water.js'
import { LocalGuard } from './local-guard.js'
import { Presence, STAY_MS } from './presence.js'
import { fillFromTable } from './scan.js'
import { BUILD_LEASE_MS, type Epoch, type Header, SharedBits } from './shared-bits.js'

/** How long a copy is believed without asking. */
const TRUST_MS = 500
/** The same as Redis counts it: longer than here, whatever the two clocks' speeds are. */
const TRUST_IN_REDIS_MS = 550
/** An instance that has been overdue for this long is given up, and the filter built anew. */
const FORGET_MS = 10_000
const BEAT_MS = 1_000
/** While not all is in order. */
const EAGER_BEAT_MS = 200
const POLL_BUILDER_MS = 100
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000
/** One script holds Redis up for as long as it runs. */
const MOST_KEYS_AT_ONCE = 200
/** A filter that has become too small is built for this many times the keys it holds. */
const HEADROOM = 1.5

/**
 * Declares a guard, for the `guard` option of a space.
 *
 * @throws {BreakwaterError} kind `usage`, code `GUARD_OPTIONS_INVALID`, naming every fault.
 */
export function bloomGuard(options: BloomGuardOptions): Guard {
  const resolved = resolveGuardOptions(options)
  return {
    bind: around => {
      if (around.shard === undefined) return new LocalGuard(resolved, around)
      const instance = randomBytes(9).toString('base64url')
      return new BloomGuard(resolved, around, new SharedBits(around.shard, around.space, instance))
    },
  }
}

class BloomGuard implements BoundGuard {
  readonly #options: ResolvedGuardOptions
  readonly #around: GuardSurroundings
  readonly #clock: Clock
  readonly #logger: Logger | undefined
  readonly #shared: SharedBits
  readonly #state: GuardState
  readonly #presence = new Presence()
  readonly #debts: Debts
  readonly #heardElsewhere: HeardElsewhere
  readonly #audit: Audit
  readonly #disposed = new AbortController()
  readonly #confirms = new TurnBatch<string, boolean>(MOST_KEYS_AT_ONCE, keys => this.#ask(keys))

  /** As last read. */
  #header: Header | undefined
  #copy: Copy | undefined
  /** Adds heard of while a copy is being fetched. */
  #heardMeanwhile: [sequence: number, key: string][] | undefined
  #started = false
  #beating: Promise<void> | undefined
  /** The one build or fetch under way. */
  #working: Promise<void> | undefined
  #workController = new AbortController()
  #workAfter = 0
  #retryMs = FIRST_RETRY_MS
  #askingForTrust = false
  #acknowledging = false

  #deniedHere = 0
  #deniedShared = 0
  #unanswered = 0
  #builds = 0
  #falseNegatives = 0

  constructor(options: ResolvedGuardOptions, around: GuardSurroundings, shared: SharedBits) {
    this.#options = options
    this.#around = around
    this.#clock = around.clock
    this.#logger = around.logger
    this.#shared = shared
    this.#state = new GuardState(around.clock)
    this.#audit = new Audit(around.clock)
    const { signal } = this.#disposed
    this.#heardElsewhere = new HeardElsewhere(shared, around.clock, 3 * TRUST_IN_REDIS_MS, signal)
    const creditor = {
      record: (key: string) => this.#record(key),
      opensInMs: () => this.#opensInMs(),
      lost: () => this.#doubt(),
    }
    this.#debts = new Debts(around.space, creditor, around.clock, signal)
  }

  get state(): BoundGuard['state'] {
    return this.#state.value
  }

  get stats(): GuardStats {
    const { epoch, entries = 0 } = this.#header ?? {}
    return {
      state: this.state,
      entries,
      bits: epoch?.shape.size ?? 0,
      errorRate: epoch === undefined ? 0 : errorRateOf(epoch.shape, entries),
      deniedHere: this.#deniedHere,
      deniedShared: this.#deniedShared,
      unanswered: this.#unanswered,
      openings: this.#state.openings,
      openMs: this.#state.openMs,
      builds: this.#builds,
      unacknowledged: this.#debts.size,
      audits: this.#audit.done,
      falseNegatives: this.#falseNegatives,
    }
  }

  mayContain(key: string): boolean | Promise<boolean> {
    if (this.#state.open) {
      this.#start()
      return true
    }
    const mark = this.#header?.highWater
    if (mark !== undefined && isAbove(key, mark)) return true
    const copy = this.#copy
    if (copy !== undefined) {
      if (copy.has(key)) return true
      const believedMs = copy.believedMs
      if (believedMs > 0) {
        if (believedMs < TRUST_MS / 2) this.#askForTrust()
        this.#deniedHere++
        return false
      }
    }
    return this.#confirms.add(key)
  }

  async add(id: CacheKey): Promise<void> {
    const key = encodeKey(id)
    this.#disposed.signal.throwIfAborted()
    this.#start()
    this.#copy?.add(key)
    if (this.#debts.none) {
      try {
        return await this.#record(key)
      } catch {
        // Owed from here on.
      }
    }
    await this.#debts.take(key)
  }

  open(): () => void {
    return this.#state.hold()
  }

  async rebuild(): Promise<void> {
    this.#start()
    await this.#working?.catch(() => {})
    await this.#beat()
    await this.#work('build')
  }

  denied(key: string, load: () => Promise<unknown>): Promise<void> | undefined {
    return this.#audit.takes() ? this.#lookUp(key, load) : undefined
  }

  hear(sequence: number, key: string): void {
    this.#heardMeanwhile?.push([sequence, key])
    const copy = this.#copy
    if (copy === undefined) return
    if (!copy.hear(sequence, key)) this.#beat().catch(() => {})
    else if (copy.isNoted) void this.#acknowledge()
  }

  missed(): void {
    this.#copy?.revoke()
  }

  async init(signal: AbortSignal): Promise<void> {
    this.#start()
    const onAbort = (): void => this.#workController.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        signal.throwIfAborted()
        this.#disposed.signal.throwIfAborted()
        await this.#beat()
        if (this.#state.value === 'ready') return
        await (this.#working ?? pause(this.#clock, POLL_BUILDER_MS, signal))
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async dispose(): Promise<void> {
    this.#disposed.abort(
      new BreakwaterError('rejected', 'GUARD_DISPOSED', `the guard of "${this.#around.space}" has been disposed of`),
    )
    this.#workController.abort(this.#disposed.signal.reason)
    this.#state.doubt()
    // What it owes, the others can only find in the table: then it does not take its leave.
    if (this.#started && this.#debts.none) await this.#shared.leave().catch(() => {})
    await this.#working?.catch(() => {})
  }

  /** Begins to watch the header. */
  #start(): void {
    if (this.#started || this.#disposed.signal.aborted) return
    this.#started = true
    void this.#live()
  }

  async #live(): Promise<void> {
    const { signal } = this.#disposed
    while (!signal.aborted) {
      await this.#beat().catch(() => {})
      const ms = this.#state.value === 'ready' && this.#isNoted ? BEAT_MS : EAGER_BEAT_MS
      await pause(this.#clock, ms, signal).catch(() => {})
    }
  }

  /** Reads the header and does what it calls for; calls at the same time are one. Rejects if Redis does not answer. */
  #beat(): Promise<void> {
    this.#beating ??= this.#readHeader().finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  async #readHeader(): Promise<void> {
    const sentAt = this.#clock.now()
    const until = this.#debts.none ? this.#presence.ask(sentAt) : undefined
    try {
      const header = await this.#shared.beat(until !== undefined, until, STAY_MS)
      const isOurs = header.state !== 'none' && header.state !== 'foreign'
      const noted = isOurs ? (until === undefined ? undefined : true) : false
      this.#presence.replied(sentAt, this.#clock.now(), header.now, noted)
      if (!this.#disposed.signal.aborted) this.#take(header)
    } catch (error) {
      this.#opened('Redis does not answer')
      throw error
    }
  }

  #take(header: Header): void {
    this.#header = header
    // A copy of another epoch still tells what may exist, but not what does not: the mark above which it holds has moved.
    if (this.#copy?.epoch.id !== header.epoch?.id) this.#copy?.revoke()
    const isReady = header.state === 'ready' && header.lapsedMs < 0
    if (!isReady)
      this.#opened(header.state === 'ready' ? 'an instance is overdue' : `the shared bits are ${header.state}`)
    else if (this.#copy !== undefined) this.#state.ready()
    const kind = this.#due(header)
    if (kind !== undefined && this.#clock.now() >= this.#workAfter) this.#work(kind).catch(() => {})
  }

  #due(header: Header): 'build' | 'fetch' | undefined {
    const { epoch, state, building, lapsedMs, ageMs, entries } = header
    if (state !== 'ready' || epoch === undefined) return building ? undefined : 'build'
    if (lapsedMs > FORGET_MS && !building) return 'build'
    if (this.#copy === undefined || this.#copy.isRevoked) return 'fetch'
    const isWorn = errorRateOf(epoch.shape, entries) > 2 * this.#options.errorRate
    return (ageMs > this.#options.rebuildEveryMs || isWorn) && !building ? 'build' : undefined
  }

  /** Builds or fetches, one thing at a time. Rejects when it fails; the next try is paced. */
  #work(kind: 'build' | 'fetch'): Promise<void> {
    if (this.#working !== undefined) return this.#working
    if (this.#workController.signal.aborted && !this.#disposed.signal.aborted)
      this.#workController = new AbortController()
    const { signal } = this.#workController
    const work = async (): Promise<void> => {
      try {
        if (kind === 'build') await this.#build(signal)
        await this.#fetch()
        this.#retryMs = FIRST_RETRY_MS
      } catch (error) {
        this.#workAfter = this.#clock.now() + this.#retryMs
        this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2)
        if (!signal.aborted)
          this.#warn('guard.failed', `could not be filled; next try in ${this.#retryMs} ms`, { err: error })
        throw error
      } finally {
        this.#working = undefined
      }
    }
    this.#working = work()
    this.#working.catch(() => {})
    return this.#working
  }

  async #fetch(): Promise<void> {
    const heard: [number, string][] = []
    this.#heardMeanwhile = heard
    try {
      const { state, epoch, sequence } = await this.#shared.beat(false, undefined, 0)
      if (state !== 'ready' || epoch === undefined) return
      const filter = await this.#shared.fetch(epoch)
      if (filter === undefined) {
        // Replaced by a newer epoch meanwhile, or lost.
        const now = await this.#shared.beat(false, undefined, 0)
        if (now.epoch?.id === epoch.id) await this.#shared.suspect(epoch)
        return
      }
      const copy = new Copy(epoch, filter, sequence, this.#clock)
      for (const [number, key] of heard) copy.hear(number, key)
      this.#copy = copy
    } finally {
      this.#heardMeanwhile = undefined
    }
    await this.#beat()
  }

  async #build(signal: AbortSignal): Promise<void> {
    const replaced = this.#header?.epoch
    const epoch = await this.#shared.begin(this.#nextShape(), replaced, TRUST_IN_REDIS_MS, FORGET_MS)
    if (epoch === undefined) return
    const renewing = new AbortController()
    const renewed = this.#keepRenewing(epoch, renewing.signal)
    try {
      const filter = new Filter(epoch.shape)
      const { space, settled } = this.#around
      const parts = { space, settled, clock: this.#clock, options: this.#options }
      const { entries, highWater } = await fillFromTable(filter, parts, signal)
      if (!(await this.#shared.finish(epoch, filter, entries, highWater))) {
        throw new BreakwaterError('failed', 'GUARD_BUILD_LOST', `guard of "${space}": what was built is lost`)
      }
      this.#builds++
      if (entries > this.#options.expected) {
        this.#warn(
          'guard.oversized',
          `holds ${entries} keys and was sized for ${this.#options.expected}: raise "expected"`,
          { entries, expected: this.#options.expected },
        )
      }
    } catch (error) {
      await this.#shared.abandon(epoch).catch(() => {})
      throw error
    } finally {
      renewing.abort()
      await renewed
    }
    if (replaced !== undefined) await this.#shared.remove(replaced).catch(() => {})
  }

  #nextShape(): FilterShape {
    const { expected, errorRate } = this.#options
    const entries = this.#header?.entries ?? 0
    const keys = entries > expected ? Math.min(MOST_EXPECTED, Math.ceil(entries * HEADROOM)) : expected
    return shapeFor(keys, errorRate)
  }

  async #keepRenewing(epoch: Epoch, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await pause(this.#clock, BUILD_LEASE_MS / 3, signal)
      } catch {
        return
      }
      await this.#shared.renew(epoch).catch(() => {})
    }
  }

  /** Asks the shared bits. Where they do not know, or nobody answers, everything may exist. */
  async #ask(keys: readonly string[]): Promise<readonly boolean[]> {
    try {
      for (let tries = 0; tries < 2 && !this.#state.open; tries++) {
        const epoch = this.#header?.epoch
        if (epoch === undefined) break
        const maybe = await this.#check(keys, epoch)
        if (maybe !== undefined) return maybe
        await this.#beat()
      }
    } catch {
      this.#unanswered += keys.length
    }
    return keys.map(() => true)
  }

  async #check(keys: readonly string[], epoch: Epoch): Promise<readonly boolean[] | undefined> {
    const sentAt = this.#clock.now()
    // A copy that hears nothing would only hold up others' adds.
    const isFed = sentAt < (this.#around.shard?.trust.until ?? 0)
    const joins = this.#copy?.epoch.id === epoch.id && isFed ? this.#copy : undefined
    const checked = await this.#shared.check(keys, epoch, joins?.heard, TRUST_IN_REDIS_MS)
    if (checked === undefined) return undefined
    if (checked.granted) joins?.grant(sentAt, TRUST_MS, checked.sequence)
    for (const maybe of checked.maybe) if (!maybe) this.#deniedShared++
    return checked.maybe
  }

  #askForTrust(): void {
    const epoch = this.#header?.epoch
    if (this.#askingForTrust || epoch === undefined) return
    this.#askingForTrust = true
    this.#check([], epoch)
      .catch(() => {})
      .finally(() => {
        this.#askingForTrust = false
      })
  }

  /** Tells Redis what the copy has heard of, so that adds need not wait for it: the latest, one telling at a time. */
  async #acknowledge(): Promise<void> {
    if (this.#acknowledging) return
    this.#acknowledging = true
    for (let told = 0; this.#copy !== undefined && told < this.#copy.heard; ) {
      told = this.#copy.heard
      await this.#shared.hear(told).catch(() => {})
    }
    this.#acknowledging = false
  }

  /** Resolves when every instance lets the key through, and none knows it to be absent; rejects if Redis does not say so. */
  async #record(key: string): Promise<void> {
    const [recorded] = await Promise.all([this.#shared.add(key, this.#header), this.#around.forget(key)])
    const { signal } = this.#disposed
    if (recorded.as === 'none') {
      await pause(this.#clock, TRUST_IN_REDIS_MS, signal)
      return
    }
    if (recorded.distrustMs > 0) await pause(this.#clock, recorded.distrustMs, signal)
    if (recorded.copies > 0) await this.#heardElsewhere.of(recorded.sequence)
  }

  get #isNoted(): boolean {
    return this.#presence.lapsesInMs(this.#clock.now()) !== undefined
  }

  #opensInMs(): number | undefined {
    const lapses = this.#presence.lapsesInMs(this.#clock.now())
    return lapses === undefined ? undefined : lapses + TRUST_IN_REDIS_MS
  }

  async #lookUp(key: string, load: () => Promise<unknown>): Promise<void> {
    this.#audit.done++
    const epoch = this.#header?.epoch
    try {
      if (epoch === undefined || (await load()) === null) return
      // A row that came in between was added first, so that the bits have it now; a doubt says nothing.
      const checked = await this.#shared.check([key], epoch, undefined, 0)
      if (checked === undefined || checked.maybe[0]) return
    } catch {
      return
    }
    this.#falseNegatives++
    this.#warn(
      'guard.false-negative',
      'denied a row that exists: rows are inserted past it; letting every read through until it is built anew',
    )
    await this.#doubt().catch(() => {})
  }

  /** Lets every read through, everywhere, until the filter has been built anew. */
  async #doubt(): Promise<void> {
    this.#state.doubt()
    const epoch = this.#header?.epoch
    if (epoch !== undefined) await this.#shared.suspect(epoch)
    await this.#beat()
  }

  #opened(why: string): void {
    if (this.#state.doubt()) this.#warn('guard.suspect', `is in doubt: ${why}; letting every read through`, { why })
  }

  #warn(event: string, what: string, fields: object = {}): void {
    const { space } = this.#around
    this.#logger?.warn({ event, space, ...fields }, `guard of "${space}" ${what}`)
  }
}
