/** One direction of one connection: passes bytes on in order, as late and as slowly as the conditions say. */

import type { Socket } from 'node:net'

/** What a proxy does to its traffic; shared by all its lanes and changed while they run. */
export interface Conditions {
  /** Added round trip; each direction carries half. */
  latencyMs: number
  /** Of each direction of each connection. */
  bytesPerSecond: number | undefined
  /** Called in each turn in which something waits for the last stretch of its time. */
  readonly idle: (() => void) | undefined
}

/** What waits for its time, and for what came before it; without bytes, the end of the stream. */
interface Parcel {
  readonly bytes: Buffer | undefined
  readonly at: number
}

/** Beyond this the sender is held back, as by a full network. */
const MAX_WAITING_BYTES = 1024 * 1024
/** A throttled lane passes this many slices a second, so that bytes trickle and do not come in lumps. */
const SLICES_PER_SECOND = 50
/** Node's timers have a grain of 1 ms and are late rather than early: the last stretch is waited turn by turn. */
const TIMER_GRAIN_MS = 2

export class Lane {
  readonly #from: Socket
  readonly #to: Socket
  readonly #conditions: Conditions
  readonly #onLimit: () => void
  /** Bytes that may still pass before `onLimit`. */
  #allowance: number
  #waiting: Parcel[] = []
  #waitingBytes = 0
  /** When the last bytes taken in will have passed the throttle. */
  #freeAt = 0
  /** Takes back the call that will pass on what waits. */
  #disarm: (() => void) | undefined
  #isDead = false

  /** @param limit bytes after which `onLimit` is called, when they have left and nothing after them. */
  constructor(from: Socket, to: Socket, conditions: Conditions, limit: number, onLimit: () => void) {
    this.#from = from
    this.#to = to
    this.#conditions = conditions
    this.#allowance = limit
    this.#onLimit = onLimit
    from.on('data', (bytes: Buffer) => this.#takeIn(bytes))
    from.on('end', () => this.#enqueue(undefined, performance.now()))
    to.on('drain', () => this.#regulate())
  }

  /** From now on swallows everything, the end of the stream too. */
  die(): void {
    this.#isDead = true
    this.#disarm?.()
    this.#waiting = []
    this.#waitingBytes = 0
    this.#from.resume()
  }

  #takeIn(bytes: Buffer): void {
    const { bytesPerSecond } = this.#conditions
    const now = performance.now()
    if (bytesPerSecond === undefined) {
      this.#enqueue(bytes, now)
      return
    }
    const slice = Math.max(1, Math.floor(bytesPerSecond / SLICES_PER_SECOND))
    for (let start = 0; start < bytes.length; start += slice) {
      const part = bytes.subarray(start, start + slice)
      this.#freeAt = Math.max(this.#freeAt, now) + (part.length / bytesPerSecond) * 1_000
      this.#enqueue(part, this.#freeAt)
    }
  }

  #enqueue(bytes: Buffer | undefined, leavesThrottleAt: number): void {
    if (this.#isDead) return
    this.#waiting.push({ bytes, at: leavesThrottleAt + this.#conditions.latencyMs / 2 })
    this.#waitingBytes += bytes?.length ?? 0
    if (!this.#disarm) this.#passOn()
    this.#regulate()
  }

  /** Passes on what is due, and comes back for the rest. */
  readonly #passOn = (): void => {
    this.#disarm = undefined
    for (let head = this.#waiting[0]; head && head.at <= performance.now(); head = this.#waiting[0]) {
      this.#waiting.shift()
      this.#waitingBytes -= head.bytes?.length ?? 0
      this.#deliver(head.bytes)
    }
    const next = this.#waiting[0]
    if (!next) return
    const waitMs = next.at - performance.now()
    if (waitMs > TIMER_GRAIN_MS) {
      const timer = setTimeout(this.#passOn, waitMs - TIMER_GRAIN_MS)
      this.#disarm = () => clearTimeout(timer)
    } else {
      this.#conditions.idle?.()
      const turn = setImmediate(this.#passOn)
      this.#disarm = () => clearImmediate(turn)
    }
  }

  #deliver(bytes: Buffer | undefined): void {
    if (this.#to.destroyed || !this.#to.writable) return
    if (bytes === undefined) {
      this.#to.end()
    } else if (bytes.length < this.#allowance) {
      this.#allowance -= bytes.length
      this.#to.write(bytes)
      this.#regulate()
    } else {
      this.#to.write(bytes.subarray(0, this.#allowance), this.#onLimit)
      this.die()
    }
  }

  /** Holds the sender back while the receiver, or this lane, is full. */
  #regulate(): void {
    if (this.#isDead) return
    if (this.#waitingBytes > MAX_WAITING_BYTES || this.#to.writableNeedDrain) this.#from.pause()
    else this.#from.resume()
  }
}
