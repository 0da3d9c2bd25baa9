/** The one door through which work may go on behind its caller, so that a drain can count it, wait for it and abort it. */

export class InFlight {
  readonly #controllers = new Set<AbortController>()
  #aborted: { readonly reason: unknown } | undefined
  #count = 0
  #whenIdle: (() => void)[] = []

  get count(): number {
    return this.#count
  }

  get aborted(): boolean {
    return this.#aborted !== undefined
  }

  /** Counts `work` until it settles. It must not reject. */
  run(work: Promise<void>): void {
    this.begin()
    void work.then(() => this.end())
  }

  /** Counts what has no promise, until `end`. */
  begin(): void {
    this.#count++
  }

  end(): void {
    if (--this.#count > 0) return
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    if (this.#count > 0) await new Promise<void>(resolve => this.#whenIdle.push(resolve))
  }

  /** Runs `work` with a controller that `abort` aborts too. One each, since a signal shared by all would gather listeners. */
  async abortable<T>(work: (controller: AbortController) => Promise<T>): Promise<T> {
    this.throwIfAborted()
    const controller = new AbortController()
    this.#controllers.add(controller)
    try {
      return await work(controller)
    } finally {
      this.#controllers.delete(controller)
    }
  }

  throwIfAborted(): void {
    if (this.#aborted !== undefined) throw this.#aborted.reason
  }

  abort(reason: unknown): void {
    this.#aborted = { reason }
    for (const controller of this.#controllers) controller.abort(reason)
  }
}
