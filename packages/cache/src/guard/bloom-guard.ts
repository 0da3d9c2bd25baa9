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
 *    half a second, and `add` does not resolve before all instances so noted have heard of it or their time is over; each
 *    that hears wakes those who wait. The reader counts its time from before it asked, on the exact clock, so it ends earlier here than there. It is prolonged
 *    only if the copy has heard of all that was recorded before its last prolongation: one that hears nothing more is
 *    believed for two of its times at most. Without the lease a "no" costs one round trip, shared by all that ask at once.
 *
 * 3. Adds that are not acknowledged. The writer must not wait for ever, and its row will exist. So every instance also lets Redis
 *    know that it is there (presence.ts), and stops when it owes an add (debts.ts). Once it is overdue, all checks answer
 *    "unknown": only then the add resolves. When the instance is back and has told what it owed, the guard closes again as
 *    if nothing had been; when it does not come back, it is given up and the filter is built anew. A header of another
 *    history hands on who is there: after a failover the one that has yet to find the new server is overdue as before.
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
 * all guards open, for FORGET_MS; rows that it inserts after that are denied by the others until it is back. So are those
 * of one that is cut off while Redis loses the whole header, and not by a failover, which leaves an older one.
 *
 * Sources: [1] Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 1970. [2] Gray and Cheriton,
 * "Leases: an efficient fault-tolerant mechanism for distributed file cache consistency", SOSP 1989. [3] PostgreSQL,
 * "Building indexes concurrently", CREATE INDEX.
 */

import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { type Clock, pause } from '@breakwater/kernel'
import { type CacheKey, encodeKey } from '../keys.js'
import { Answers, TRUST_IN_REDIS_MS } from './answers.js'
import { Audit } from './audit.js'
import { buildEpoch, FORGET_MS } from './build-epoch.js'
import { Debts } from './debts.js'
import { errorRateOf } from './filter.js'
import type { BoundGuard, Guard, GuardStats, GuardSurroundings } from './guard.js'
import { disposed } from './guard-errors.js'
import { type BloomGuardOptions, type ResolvedGuardOptions, resolveGuardOptions } from './guard-options.js'
import { GuardState } from './guard-state.js'
import { HeardElsewhere } from './heard-elsewhere.js'
import { isAbove } from './high-water.js'
import { LocalGuard } from './local-guard.js'
import { PacedWork } from './paced-work.js'
import { Presence, STAY_MS } from './presence.js'
import { type Header, SharedBits } from './shared-bits.js'
import { isWorn } from './sizing.js'
import { type Warn, warner } from './warn.js'

const BEAT_MS = 1_000
/** While not all is in order. */
const EAGER_BEAT_MS = 200
const POLL_BUILDER_MS = 100

/**
 * Declares a guard, for the `guard` option of a space.
 *
 * @throws {BreakwaterError} kind `usage`, code `GUARD_OPTIONS_INVALID`, naming every fault.
 */
export function bloomGuard(options: BloomGuardOptions): Guard {
  const resolved = resolveGuardOptions(options)
  return {
    bind: around => {
      const { shard, space, wakeChannel } = around
      if (shard === undefined) return new LocalGuard(resolved, around)
      const instance = randomBytes(9).toString('base64url')
      return new BloomGuard(resolved, around, new SharedBits(shard, space, instance, wakeChannel))
    },
  }
}

class BloomGuard implements BoundGuard {
  readonly #options: ResolvedGuardOptions
  readonly #around: GuardSurroundings
  readonly #clock: Clock
  readonly #warn: Warn
  readonly #shared: SharedBits
  readonly #state: GuardState
  readonly #answers: Answers
  readonly #audit: Audit
  readonly #presence = new Presence()
  readonly #debts: Debts
  readonly #heardElsewhere: HeardElsewhere
  readonly #work: PacedWork
  readonly #disposed = new AbortController()

  /** As last read. */
  #header: Header | undefined
  #started = false
  #beating: Promise<void> | undefined
  #builds = 0

  constructor(options: ResolvedGuardOptions, around: GuardSurroundings, shared: SharedBits) {
    const { clock, space } = around
    const { signal } = this.#disposed
    // Each add that waits listens to it.
    setMaxListeners(0, signal)
    this.#options = options
    this.#around = around
    this.#clock = clock
    this.#warn = warner(around)
    this.#shared = shared
    this.#state = new GuardState(clock)
    this.#work = new PacedWork(clock, this.#warn)
    this.#heardElsewhere = new HeardElsewhere(shared, clock, 3 * TRUST_IN_REDIS_MS, signal)
    this.#answers = new Answers({
      shared,
      clock,
      isFed: () => clock.now() < (around.shard?.trust.until ?? 0),
      epoch: () => (this.#state.open ? undefined : this.#header?.epoch),
      look: () => this.#beat(),
    })
    this.#audit = new Audit(around, this.#warn, {
      witness: key => this.#witness(key),
      refuted: () => this.#doubt().catch(() => {}),
    })
    const creditor = {
      record: (key: string) => this.#record(key),
      opensInMs: () => this.#opensInMs(),
      lost: () => this.#doubt(),
    }
    this.#debts = new Debts(space, creditor, clock, signal)
  }

  get state(): BoundGuard['state'] {
    return this.#state.value
  }

  get stats(): GuardStats {
    const { epoch, entries = 0 } = this.#header ?? {}
    const { deniedHere, deniedShared, unanswered } = this.#answers
    return {
      state: this.state,
      entries,
      bits: epoch?.shape.size ?? 0,
      errorRate: epoch === undefined ? 0 : errorRateOf(epoch.shape, entries),
      deniedHere,
      deniedShared,
      unanswered,
      openings: this.#state.openings,
      openMs: this.#state.openMs,
      builds: this.#builds,
      unacknowledged: this.#debts.size,
      audits: this.#audit.done,
      falseNegatives: this.#audit.falseNegatives,
    }
  }

  mayContain(key: string): boolean | Promise<boolean> {
    if (this.#state.open) {
      this.#start()
      return true
    }
    const mark = this.#header?.highWater
    if (mark !== undefined && isAbove(key, mark)) return true
    return this.#answers.mayContain(key)
  }

  async add(id: CacheKey): Promise<void> {
    const key = encodeKey(id)
    this.#disposed.signal.throwIfAborted()
    this.#start()
    this.#answers.add(key)
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
    await this.#work.current?.catch(() => {})
    await this.#beat()
    await this.#fill('build')
  }

  denied(key: string, load: () => Promise<unknown>): Promise<void> | undefined {
    return this.#audit.denied(key, load)
  }

  hear(sequence: number, key: string): void {
    this.#answers.hear(sequence, key)
  }

  missed(): void {
    this.#answers.missed()
  }

  heardElsewhere(message: string): void {
    const [history = '', sequence] = message.split(':')
    this.#heardElsewhere.upTo({ history, sequence: Number(sequence) })
  }

  async init(signal: AbortSignal): Promise<void> {
    this.#start()
    const onAbort = (): void => this.#work.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        signal.throwIfAborted()
        this.#disposed.signal.throwIfAborted()
        await this.#beat()
        if (this.#state.value === 'ready') return
        await (this.#work.current ?? pause(this.#clock, POLL_BUILDER_MS, signal))
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async dispose(): Promise<void> {
    const error = disposed(this.#around.space)
    this.#disposed.abort(error)
    this.#work.dispose(error)
    this.#state.doubt()
    // What it owes, the others can only find in the table: then it does not take its leave.
    if (this.#started && this.#debts.none) await this.#shared.leave().catch(() => {})
    await this.#work.current?.catch(() => {})
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
      const ms = this.#state.value === 'ready' && this.#presence.isNoted ? BEAT_MS : EAGER_BEAT_MS
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
    this.#answers.named(header.epoch)
    const isReady = header.state === 'ready' && header.lapsedMs < 0
    if (!isReady)
      this.#opened(header.state === 'ready' ? 'an instance is overdue' : `the shared bits are ${header.state}`)
    else if (this.#answers.hasCopy) this.#state.ready()
    const kind = this.#due(header)
    if (kind !== undefined && this.#work.mayBegin) this.#fill(kind).catch(() => {})
  }

  #due(header: Header): 'build' | 'fetch' | undefined {
    const { epoch, state, building, lapsedMs, ageMs, entries } = header
    if (state !== 'ready' || epoch === undefined) return building ? undefined : 'build'
    if (lapsedMs > FORGET_MS && !building) return 'build'
    if (this.#answers.needsCopy) return 'fetch'
    const isOld = ageMs > this.#options.rebuildEveryMs
    return (isOld || isWorn(this.#options, epoch.shape, entries)) && !building ? 'build' : undefined
  }

  /** Fills the shared bits, and this instance's copy of them. Rejects when it fails. */
  #fill(kind: 'build' | 'fetch'): Promise<void> {
    return this.#work.run(async signal => {
      if (kind === 'build') await this.#build(signal)
      await this.#answers.fetch()
      await this.#beat()
    })
  }

  async #build(signal: AbortSignal): Promise<void> {
    const { expected } = this.#options
    const entries = await buildEpoch(this.#shared, this.#options, this.#around, this.#header, signal)
    if (entries === undefined) return
    this.#builds++
    if (entries <= expected) return
    this.#warn('guard.oversized', `holds ${entries} keys and was sized for ${expected}: raise "expected"`, {
      entries,
      expected,
    })
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
    if (recorded.copies > 0) await this.#heardElsewhere.of(recorded.add)
  }

  #opensInMs(): number | undefined {
    const lapses = this.#presence.lapsesInMs(this.#clock.now())
    return lapses === undefined ? undefined : lapses + TRUST_IN_REDIS_MS
  }

  #witness(key: string): () => Promise<boolean> {
    const epoch = this.#header?.epoch
    return async () => {
      const checked = epoch && (await this.#shared.check([key], epoch, undefined, 0))
      return checked?.maybe[0] === false
    }
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
}
