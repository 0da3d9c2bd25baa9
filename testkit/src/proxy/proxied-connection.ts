/** A client's connection and the one to the server behind it: what happens to one end happens to the other. */

import { connect, type Socket } from 'node:net'
import { type Conditions, Lane } from './lane.js'

/** A Node client that finds the last bytes and the reset at once takes the reset for an orderly end: let it read first. */
const READS_WITHIN_MS = 10

export interface Route {
  readonly host: string
  readonly port: number
  readonly conditions: Conditions
  /** Bytes from the server after which both ends are reset; Infinity for never. */
  readonly resetAfter: number
}

export class ProxiedConnection {
  /** Resolves when no socket of it is open any more. */
  readonly closed: Promise<void>
  readonly #sockets: readonly Socket[]
  readonly #lanes: readonly Lane[]
  #isDead = false

  /** @param route where it leads; without one, to nowhere: what the client sends is swallowed. */
  constructor(client: Socket, route?: Route) {
    const server = route && connect({ host: route.host, port: route.port, allowHalfOpen: true, noDelay: true })
    this.#sockets = server ? [client, server] : [client]
    const onLimit = (): void => {
      this.die()
      // A client in this process has not read yet where all of that was slow: it does so between a timer and an immediate.
      setTimeout(() => setImmediate(() => this.reset()), READS_WITHIN_MS)
    }
    this.#lanes = server
      ? [
          new Lane(client, server, route.conditions, Number.POSITIVE_INFINITY, onLimit),
          new Lane(server, client, route.conditions, route.resetAfter, onLimit),
        ]
      : []
    // Swallows what no lane reads.
    client.resume()
    for (const socket of this.#sockets) {
      // A reset, or a server that refuses, reaches the other end as a reset; an orderly end goes through the lanes.
      socket.on('error', () => {
        if (!this.#isDead) this.reset()
      })
    }
    this.closed = Promise.all(this.#sockets.map(whenClosed)).then(() => {})
    if (route?.resetAfter === 0) this.reset()
  }

  /** From now on nothing passes either way, and neither end learns anything of the other. */
  die(): void {
    this.#isDead = true
    for (const lane of this.#lanes) lane.die()
  }

  /** Resets both ends (RST). */
  reset(): void {
    this.die()
    for (const socket of this.#sockets) reset(socket)
  }
}

function reset(socket: Socket): void {
  if (socket.destroyed) return
  // Node cannot reset a socket while it connects or sends its FIN: it would never emit `close`.
  if (socket.connecting || (socket.writableEnded && !socket.writableFinished)) socket.destroy()
  else socket.resetAndDestroy()
}

function whenClosed(socket: Socket): Promise<void> {
  return new Promise(resolve => socket.once('close', () => resolve()))
}
