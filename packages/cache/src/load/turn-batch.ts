/**
 * Gathers what is asked for in one turn of the event loop and asks for it together. Who asks alone waits for nothing: the
 * batch leaves when the promise callbacks that can run have run, before any input or timer is looked at.
 */

export class TurnQueue<Q> {
  readonly #most: number
  readonly #leave: (questions: readonly Q[]) => void
  #waiting: Q[] = []

  /**
   * @param most questions a batch, from 1.
   * @param leave takes them in their order.
   */
  constructor(most: number, leave: (questions: readonly Q[]) => void) {
    this.#most = most
    this.#leave = leave
  }

  put(question: Q): void {
    if (this.#waiting.length === 0) process.nextTick(() => this.#flush())
    this.#waiting.push(question)
  }

  #flush(): void {
    const all = this.#waiting
    this.#waiting = []
    for (let from = 0; from < all.length; from += this.#most) this.#leave(all.slice(from, from + this.#most))
  }
}

interface Waiting<Q, A> {
  readonly question: Q
  readonly resolve: (answer: A) => void
  readonly reject: (error: unknown) => void
}

/** The same with a promise for each. */
export class TurnBatch<Q, A> {
  readonly #ask: (questions: readonly Q[]) => Promise<readonly A[]>
  readonly #queue: TurnQueue<Waiting<Q, A>>

  /**
   * @param most questions a batch, from 1.
   * @param ask answers them in their order; its rejection is that of all of them.
   */
  constructor(most: number, ask: (questions: readonly Q[]) => Promise<readonly A[]>) {
    this.#ask = ask
    this.#queue = new TurnQueue(most, batch => void this.#send(batch))
  }

  add(question: Q): Promise<A> {
    return new Promise((resolve, reject) => this.#queue.put({ question, resolve, reject }))
  }

  async #send(batch: readonly Waiting<Q, A>[]): Promise<void> {
    try {
      const answers = await this.#ask(batch.map(waiting => waiting.question))
      for (const [i, waiting] of batch.entries()) waiting.resolve(answers[i] as A)
    } catch (error) {
      for (const waiting of batch) waiting.reject(error)
    }
  }
}
