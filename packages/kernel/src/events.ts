/**
 * What a component reports while it works. Each package declares one closed union of events; logs, metrics and traces
 * all switch over it, so nothing is reported to one and forgotten for another.
 */

/** An event: a `type` out of a closed set, and facts that are safe to log (no values, no secrets). */
export interface ComponentEvent {
  readonly type: string
}

/** Where log lines go. `console` and a pino logger both fit. */
export interface Logger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** Hands each event to every listener, in the order in which they subscribed. */
export class Events<E extends ComponentEvent> {
  #listeners: readonly ((event: E) => void)[] = []

  /** Whether anyone listens; check it before building an event that costs something. */
  get hasListeners(): boolean {
    return this.#listeners.length > 0
  }

  /** Calls `listener` for each event from now on, until the returned function is called. */
  subscribe(listener: (event: E) => void): () => void {
    this.#listeners = [...this.#listeners, listener]
    return () => {
      this.#listeners = this.#listeners.filter(each => each !== listener)
    }
  }

  /** A listener that throws disturbs neither the others nor the caller; its error becomes a process warning. */
  emit(event: E): void {
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        process.emitWarning(`a listener of "${event.type}" threw: ${String(error)}`, 'BreakwaterWarning')
      }
    }
  }
}
