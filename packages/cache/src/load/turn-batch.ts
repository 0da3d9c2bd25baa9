/**
 * Gathers what is asked for in one turn of the event loop and asks for it together. Who asks alone waits for nothing: the
 * batch leaves when the promise callbacks that can run have run, before any input or timer is looked at.
 */

interface Waiting<Q, A> {
  readonly question: Q
  readonly resolve: (answer: A) => void
  readonly reject: (error: unknown) => void
}

export class TurnBatch<Q, A> {
  readonly #most: number
  readonly #ask: (questions: readonly Q[]) => Promise<readonly A[]>
  #waiting: Waiting<Q, A>[] = []

  /**
   * @param most questions a batch, from 1.
   * @param ask answers them in their order; its rejection is that of all of them.
   */
  constructor(most: number, ask: (questions: readonly Q[]) => Promise<readonly A[]>) {
    this.#most = most
    this.#ask = ask
  }

  add(question: Q): Promise<A> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) process.nextTick(() => this.#leave())
      this.#waiting.push({ question, resolve, reject })
    })
  }

  #leave(): void {
    const all = this.#waiting
    this.#waiting = []
    for (let from = 0; from < all.length; from += this.#most) void this.#send(all.slice(from, from + this.#most))
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
