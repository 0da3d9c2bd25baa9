/** A gate that opens once, for all who wait at it. */

export class Gate {
  #open!: () => void
  readonly #opened: Promise<void> = new Promise(resolve => {
    this.#open = resolve
  })

  open(): void {
    this.#open()
  }

  /** Resolves when the gate opens, or rejects with the signal's reason. */
  async until(signal?: AbortSignal): Promise<void> {
    if (!signal) return this.#opened
    let leave = (): void => {}
    try {
      await new Promise<void>((resolve, reject) => {
        leave = () => reject(signal.reason)
        if (signal.aborted) leave()
        signal.addEventListener('abort', leave)
        void this.#opened.then(resolve)
      })
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }
}
