/** Which statements a connection has prepared, what is known of their results, and whether names of the pool's own work at all. */

import type { FieldDef, WireConnection } from '../driver.js'

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

/** A statement, from when it was prepared until the server forgets it. */
export class Prepared {
  /** Of its result, as text; undefined until one was described. There are no others while it is prepared; why is said below. */
  columns: readonly FieldDef[] | undefined = undefined
}

/*
 * The server does not have to describe the result of a statement again and again. One that was prepared is never run with
 * other columns: if a table has changed, or the search path, it is refused (0A000, "cached plan must not change result
 * type"), dropped and prepared anew. A pooler that prepares it elsewhere without a word knows no such rule; so columns are
 * kept only of connections that are direct (`direct-query.ts`).
 */

/** Those of one connection. */
export class NamesOfConnection {
  /** By the pool's own names, the one that was used longest ago first. */
  readonly #own = new Map<string, Prepared>()
  /** By names that applications have given. */
  readonly #given = new Map<string, Prepared>()

  /**
   * Notes a use, and has the server forget another statement if there are too many: in the same message, at no cost. Returns
   * undefined if there is no place, because the server has yet to confirm the oldest: pg would take it for there once it has.
   */
  use(name: string, connection: WireConnection): Prepared | undefined {
    const prepared = this.#own.get(name) ?? new Prepared()
    if (!this.#own.delete(name) && this.#own.size >= LIMIT) {
      const [oldest = ''] = this.#own.keys()
      if (connection.submittedNamedStatements[oldest] !== undefined) return undefined
      this.drop(oldest, connection)
    }
    this.#own.set(name, prepared)
    return prepared
  }

  /** The same for a name that the application has given, of which there are as many as it likes. */
  useGiven(name: string): Prepared {
    let prepared = this.#given.get(name)
    if (!prepared) {
      prepared = new Prepared()
      this.#given.set(name, prepared)
    }
    return prepared
  }

  /** Has the server forget one that it can't use any more. */
  drop(name: string, connection: WireConnection): void {
    this.forget(name, connection)
    connection.close({ type: 'S', name })
  }

  /** The server has none of those any more that the pool has named. */
  clear(connection: WireConnection): void {
    for (const name of this.#own.keys()) this.forget(name, connection)
  }

  /** The server has it no more. */
  forget(name: string, connection: WireConnection): void {
    this.#own.delete(name)
    this.#given.delete(name)
    delete connection.parsedStatements[name]
    delete connection.submittedNamedStatements[name]
  }
}
