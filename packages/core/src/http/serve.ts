/** An `http.Server` as a component: it listens when everything else is there, and is the first to close. */

import { once } from 'node:events'
import type { Server } from 'node:http'
import type { Duration } from '@breakwater/kernel'
import { type Clock, Faults, type StepContext } from '@breakwater/kernel'
import type { BuiltInComponent } from '../lifecycle/component.js'
import type { InFlight } from '../work/in-flight.js'
import { arrived } from './arrived.js'
import { HttpIntake, type WhileDraining } from './intake.js'

export interface ServeOptions {
  /** To listen at; 0 for a free one. Left out, with `path` too, for a server that listens already. */
  readonly port?: number
  /** Default: all addresses. */
  readonly host?: string
  /** Of a Unix socket, in the place of a port. */
  readonly path?: string
  /** Default `http`. */
  readonly name?: string
  /** Default: all components that are neither servers nor consumers. */
  readonly dependsOn?: readonly string[]
  /**
   * What becomes of a request that comes while the instance drains, over a connection from before. `serve`: it is answered
   * like any other, and the connection closed; `refuse`: 503 with `Retry-After`. Default `serve`.
   */
  readonly whileDraining?: WhileDraining
  /** Bounds the stop of the server when its requests have ended. Default 10 s. */
  readonly stopTimeout?: Duration
}

const KNOWN = ['port', 'host', 'path', 'name', 'dependsOn', 'whileDraining', 'stopTimeout']
/**
 * How long connections that are idle stay open when the port is closed. A request may be on its way over one of them, and
 * would be lost; in this time it arrives, is answered, and its connection closed.
 */
const IDLE_MS = 100
/** For the last bytes of answers on their way to close their connections by themselves. */
const LAST_BYTES_MS = 250

/** @throws {BreakwaterError} kind `usage`, code `OPTION_INVALID`. */
export function serverComponent(
  server: Server,
  options: ServeOptions,
  inFlight: InFlight,
  clock: Clock,
): BuiltInComponent {
  const faults = new Faults()
  faults.unknownKeys(options, KNOWN)
  const { name = 'http', port, host, path, whileDraining = 'serve', dependsOn, stopTimeout } = options
  faults.check(typeof server?.listen === 'function', 'server must be an http.Server')
  faults.check(port === undefined || (Number.isInteger(port) && port >= 0 && port < 65_536), 'port must be 0 to 65535')
  faults.check(['serve', 'refuse'].includes(whileDraining), "whileDraining must be 'serve' or 'refuse'")
  faults.throwIfAny('OPTION_INVALID', 'serve')
  const intake = new HttpIntake(server, inFlight, whileDraining)
  const isToListen = port !== undefined || path !== undefined
  return {
    name,
    ready: ({ signal }) => (isToListen ? listen(server, { port, host, path }, signal) : undefined),
    drain: ({ signal }) => closeIntake(server, intake, clock, signal),
    stop: context => close(server, intake, clock, context),
    ...(dependsOn && { dependsOn }),
    ...(stopTimeout !== undefined && { stopTimeout }),
  }
}

interface Address {
  readonly port: number | undefined
  readonly host: string | undefined
  readonly path: string | undefined
}

/** Rejects with the server's own error, such as EADDRINUSE. */
async function listen(server: Server, { port, host, path }: Address, signal: AbortSignal): Promise<void> {
  server.listen({ ...(path === undefined ? { port } : { path }), ...(host !== undefined && { host }) })
  try {
    await once(server, 'listening', { signal })
  } catch (error) {
    server.close()
    throw error
  }
}

async function closeIntake(server: Server, intake: HttpIntake, clock: Clock, signal: AbortSignal): Promise<void> {
  // Whoever has connected already is let in, not cut off.
  await arrived()
  intake.closePort()
  await emptied(server, clock, IDLE_MS, signal)
  await arrived()
  intake.closeIdle()
}

/** Every answer is out by now, or is not to be waited for. */
async function close(server: Server, intake: HttpIntake, clock: Clock, { signal }: StepContext): Promise<void> {
  intake.closePort()
  intake.closeIdle()
  if (!signal.aborted) await emptied(server, clock, LAST_BYTES_MS, signal)
  intake.destroy()
}

/** Resolves when no connection is left, or after `ms`. */
function emptied(server: Server, clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      timer.cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = clock.schedule(ms, done, { keepAlive: true })
    signal.addEventListener('abort', done)
    server.getConnections((_, count) => (count === 0 ? done() : server.once('close', done)))
  })
}
