/** Which statements a connection has prepared under names that the pool has given them, and whether names work at all. */

import type { WireConnection } from '../driver.js'

/** Statements of one connection: each of them is memory of the server's. */
const LIMIT = 256
/** A `DISCARD ALL` of the application takes names away as well; a pooler does so again and again. */
const STRIKES = 3

/** Names work, until the server shows that they do not: there is a pooler before it that knows nothing of them. */
export class Names {
  readonly #onOff: (code: string) => void
  #strikes = 0
  isOn = true

  /** @param onOff told the code of the error that has shown it. */
  constructor(onOff: (code: string) => void) {
    this.#onOff = onOff
  }

  /** A statement is not there that should be (26000), or there although it should not be (42P05). */
  strike(code: string): void {
    if (!this.isOn || (code === '26000' && ++this.#strikes < STRIKES)) return
    this.isOn = false
    this.#onOff(code)
  }
}

/** Those of one connection, the one that was used longest ago first. */
export class NamesOfConnection {
  readonly #names = new Set<string>()

  /**
   * Notes a use, and has the server forget another statement if there are too many: in the same message, at no cost. Returns
   * false if there is no place, because the server has yet to confirm the oldest: pg would take it for there once it has.
   */
  use(name: string, connection: WireConnection): boolean {
    if (!this.#names.delete(name) && this.#names.size >= LIMIT) {
      const [oldest = ''] = this.#names
      if (connection.submittedNamedStatements[oldest] !== undefined) return false
      this.drop(oldest, connection)
    }
    this.#names.add(name)
    return true
  }

  /** Has the server forget one that it can't use any more. */
  drop(name: string, connection: WireConnection): void {
    this.forget(name, connection)
    connection.close({ type: 'S', name })
  }

  /** The server has none of them any more. */
  clear(connection: WireConnection): void {
    for (const name of this.#names) this.forget(name, connection)
  }

  /** The server has it no more. */
  forget(name: string, connection: WireConnection): void {
    this.#names.delete(name)
    delete connection.parsedStatements[name]
    delete connection.submittedNamedStatements[name]
  }
}
