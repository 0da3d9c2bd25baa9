/**
 * Adds that Redis has not acknowledged: kept, and told again until it does. While there are any, this instance does not say
 * that it is there, so that soon every guard lets every read through; see presence.ts.
 */

import { BreakwaterError, type Clock, pause } from '@breakwater/kernel'

/** More are not kept: then the filter has to be built anew. */
const MOST_KEYS = 100_000
const AT_ONCE = 100
const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 500

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export interface Creditor {
  /** Tells Redis of a key; rejects if it does not acknowledge it. */
  record(key: string): Promise<void>
  /** Ms until every guard lets every read through for certain; `undefined` if that will not come. */
  opensInMs(): number | undefined
  /** All is told but keys that could not be kept. */
  lost(): Promise<void>
}

export class Debts {
  readonly #space: string
  readonly #creditor: Creditor
  readonly #clock: Clock
  readonly #signal: AbortSignal
  /** With those who wait for the key's add. */
  readonly #keys = new Map<string, Waiting[]>()
  #lost = false
  #paying = false

  constructor(space: string, creditor: Creditor, clock: Clock, signal: AbortSignal) {
    this.#space = space
    this.#creditor = creditor
    this.#clock = clock
    this.#signal = signal
  }

  get size(): number {
    return this.#keys.size
  }

  get none(): boolean {
    return this.#keys.size === 0 && !this.#lost
  }

  /** Takes a key over. Settles as an add does that was not acknowledged. */
  async take(key: string): Promise<void> {
    this.#signal.throwIfAborted()
    const opensInMs = this.#creditor.opensInMs()
    const isOpen = opensInMs !== undefined && opensInMs <= 0
    const waiting = this.#keys.get(key) ?? []
    if (isOpen && this.#keys.size >= MOST_KEYS) this.#lost = true
    else this.#keys.set(key, waiting)
    if (!this.#paying) void this.#pay()
    if (isOpen) return
    if (opensInMs === undefined) throw this.#unacknowledged()
    await new Promise<void>((resolve, reject) => waiting.push({ resolve, reject }))
  }

  async #pay(): Promise<void> {
    this.#paying = true
    let retryMs = FIRST_RETRY_MS
    while (!this.none && !this.#signal.aborted) {
      try {
        await this.#tellAll()
      } catch {
        this.#release()
        const opensInMs = this.#creditor.opensInMs() ?? 0
        await pause(this.#clock, opensInMs > 0 ? Math.min(retryMs, opensInMs + 1) : retryMs, this.#signal).catch(
          () => {},
        )
        retryMs = Math.min(LAST_RETRY_MS, retryMs * 2)
      }
    }
    this.#paying = false
    const error = new BreakwaterError(
      'rejected',
      'GUARD_DISPOSED',
      `the guard of "${this.#space}" has been disposed of`,
    )
    for (const waiting of this.#keys.values()) for (const { reject } of waiting.splice(0)) reject(error)
  }

  async #tellAll(): Promise<void> {
    const keys = [...this.#keys.keys()].slice(0, AT_ONCE)
    if (keys.length === 0) {
      await this.#creditor.lost()
      this.#lost = false
    }
    const told = await Promise.allSettled(
      keys.map(async key => {
        await this.#creditor.record(key)
        const waiting = this.#keys.get(key) ?? []
        this.#keys.delete(key)
        for (const { resolve } of waiting) resolve()
      }),
    )
    for (const each of told) if (each.status === 'rejected') throw each.reason
  }

  /** Lets those go who need not wait any more. */
  #release(): void {
    const opensInMs = this.#creditor.opensInMs()
    if (opensInMs === undefined || opensInMs > 0) return
    for (const waiting of this.#keys.values()) for (const { resolve } of waiting.splice(0)) resolve()
  }

  #unacknowledged(): BreakwaterError {
    return new BreakwaterError(
      'rejected',
      'GUARD_ADD_UNACKNOWLEDGED',
      `guard of "${this.#space}": Redis, which was never reached, has not acknowledged an add; it goes on trying, but instances that do reach it may deny the row until then`,
      { retryable: true },
    )
  }
}
