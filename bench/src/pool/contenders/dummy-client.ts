/** A client that connects to nothing, for pools that make their resources with pg's `Client`. */

import { EventEmitter } from 'node:events'

export class DummyClient extends EventEmitter {
  /** Read by pg.Pool when a client is released. */
  readonly _queryable = true

  connect(done: () => void): void {
    process.nextTick(done)
  }

  end(done: () => void): void {
    process.nextTick(done)
  }
}
