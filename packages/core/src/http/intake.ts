/**
 * Stands between an `http.Server` and its handlers: counts what comes in, so that a stop knows when the last answer is out,
 * and tells clients to come back over another connection once the instance drains.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Server as NetServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { withTrace } from '../tracing/trace-context.js'
import type { InFlight } from '../work/in-flight.js'
import { pathOf, probeOf, traceIdOf } from './paths.js'

/** A request that comes while the instance drains is answered like any other, or with 503 and `Retry-After`. */
export type WhileDraining = 'serve' | 'refuse'

/** Long enough for a balancer to have taken the instance out. */
const RETRY_AFTER_S = 1

export class HttpIntake {
  readonly #server: Server
  readonly #inFlight: InFlight
  readonly #whileDraining: WhileDraining
  readonly #responses = new Set<ServerResponse>()
  readonly #upgraded = new Set<Duplex>()

  constructor(server: Server, inFlight: InFlight, whileDraining: WhileDraining) {
    this.#server = server
    this.#inFlight = inFlight
    this.#whileDraining = whileDraining
    this.#standBefore(server)
    inFlight.draining.addEventListener('abort', () => {
      for (const response of this.#responses) closeAfter(response)
    })
  }

  /** Takes no new connection from now on. Those that are idle stay, where an `http.Server`'s own `close` would close them. */
  closePort(): void {
    if (this.#server.listening) NetServer.prototype.close.call(this.#server)
  }

  closeIdle(): void {
    this.#server.closeIdleConnections()
  }

  /** Ends every connection that is left, upgraded ones included. */
  destroy(): void {
    // For the timer that it keeps; it is not listening any more.
    this.#server.close()
    this.#server.closeAllConnections()
    for (const socket of this.#upgraded) socket.destroy()
  }

  /** Whoever listens to `request`, and whenever it began to, listens behind this. */
  #standBefore(server: Server): void {
    const emit = server.emit
    server.emit = (event: string, ...args: unknown[]): boolean => {
      const pass = (): boolean => Reflect.apply(emit, server, [event, ...args])
      if (event === 'request' || event === 'checkContinue') {
        this.#take(args[0] as IncomingMessage, args[1] as ServerResponse, pass)
        return true
      }
      if (event === 'upgrade' || event === 'connect') this.#keep(args[1] as Duplex)
      return pass()
    }
  }

  #take(request: IncomingMessage, response: ServerResponse, pass: () => void): void {
    const { isDraining, isOpen } = this.#inFlight
    if (isDraining) closeAfter(response)
    // Seen already, at its `Expect: 100-continue`; or asked by whoever routes here, which is no work.
    if (this.#responses.has(response) || probeOf(request) !== undefined) pass()
    else if (!isOpen || (isDraining && this.#whileDraining === 'refuse')) refuse(response)
    else this.#count(request, response, pass)
  }

  #count(request: IncomingMessage, response: ServerResponse, pass: () => void): void {
    const name = `${request.method} ${pathOf(request)}`
    const handle = (over: () => void): void => {
      this.#responses.add(response)
      response.once('close', () => {
        this.#responses.delete(response)
        over()
      })
      pass()
    }
    const { traceparent } = request.headers
    const trace = typeof traceparent === 'string' ? traceparent : undefined
    this.#inFlight.request(
      name,
      () => traceIdOf(request),
      over => withTrace(trace, () => handle(over)),
    )
  }

  #keep(socket: Duplex): void {
    this.#upgraded.add(socket)
    socket.once('close', () => this.#upgraded.delete(socket))
  }
}

function closeAfter(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('Connection', 'close')
}

function refuse(response: ServerResponse): void {
  response.writeHead(503, { 'Retry-After': RETRY_AFTER_S, 'Content-Type': 'text/plain', Connection: 'close' })
  response.end('the instance stops\n')
}
