/** A TCP proxy between a real client and a real server that does what networks do on bad days. */

import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { freePort } from '../process/port.js'
import type { Conditions } from './lane.js'
import { ProxiedConnection } from './proxied-connection.js'

const WAIT_MS = 5_000

export interface Upstream {
  readonly host: string
  readonly port: number
}

export interface FaultProxy extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** Connections that their clients have not closed. */
  readonly connections: number
  /** Returns the same URL with the proxy's host and port. */
  url(original: string): string
  /** Adds `ms` to each round trip, half each way; 0 for none. */
  setLatency(ms: number): void
  /** Limits each direction of each connection; `undefined` for no limit. */
  throttle(bytesPerSecond: number | undefined): void
  /** Resets (RST) all present connections; new ones work. */
  cut(): void
  /** Swallows all bytes both ways from now on and closes nothing; new connections are accepted and swallowed too. */
  halfOpen(): void
  /** Refuses new connections; present ones stay. */
  refuse(): void
  /** Resets each connection made from now on once it got `bytes` from the server (all of them, and no more). */
  resetAfter(bytes: number): void
  /** Leads new connections to another server, as after a failover. */
  redirect(upstream: Upstream): void
  /** Forwards plainly again, for new connections and for those that were not half-open. */
  heal(): Promise<void>
  /**
   * Resolves when there are exactly `n` connections.
   * @param timeoutMs default 5,000; then rejects, saying how many there are.
   */
  waitForConnections(n: number, timeoutMs?: number): Promise<void>
  /** Resets all connections and ends the proxy. */
  close(): Promise<void>
}

export interface ProxyOptions {
  /**
   * Whether its process has nothing else to do, and sleeps where it would watch the clock: up to 0.1 ms more are added each
   * way, and no processor is kept busy. Default false.
   */
  readonly isAlone?: boolean
}

/** Starts a proxy before `upstream` on a free loopback port. A server that refuses shows as a reset. */
export async function startProxy(upstream: Upstream, { isAlone = false }: ProxyOptions = {}): Promise<FaultProxy> {
  const proxy = new TcpFaultProxy(upstream, await freePort(), isAlone)
  await proxy.listen()
  return proxy
}

class TcpFaultProxy implements FaultProxy {
  readonly host = '127.0.0.1'
  readonly port: number
  #upstream: Upstream
  readonly #conditions: Conditions
  readonly #open = new Set<ProxiedConnection>()
  /** Those whose client has not closed. */
  readonly #counted = new Set<ProxiedConnection>()
  #resetAfter = Number.POSITIVE_INFINITY
  #isHalfOpen = false
  #listener: Server | undefined
  #waiters: (() => void)[] = []

  constructor({ host, port }: Upstream, ownPort: number, isAlone: boolean) {
    this.#upstream = { host, port }
    this.#conditions = { latencyMs: 0, bytesPerSecond: undefined, idle: isAlone ? napOnceATurn() : undefined }
    this.port = ownPort
  }

  get connections(): number {
    return this.#counted.size
  }

  async listen(): Promise<void> {
    if (this.#listener) return
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, socket => this.#accept(socket))
    this.#listener = listener
    listener.listen(this.port, this.host)
    await once(listener, 'listening')
  }

  url(original: string): string {
    const url = new URL(original)
    url.hostname = this.host
    url.port = String(this.port)
    return url.href
  }

  setLatency(ms: number): void {
    this.#conditions.latencyMs = ms
  }

  throttle(bytesPerSecond: number | undefined): void {
    this.#conditions.bytesPerSecond = bytesPerSecond
  }

  cut(): void {
    for (const connection of this.#open) connection.reset()
  }

  halfOpen(): void {
    this.#isHalfOpen = true
    for (const connection of this.#open) connection.die()
  }

  refuse(): void {
    this.#listener?.close()
    this.#listener = undefined
  }

  resetAfter(bytes: number): void {
    this.#resetAfter = bytes
  }

  redirect({ host, port }: Upstream): void {
    this.#upstream = { host, port }
  }

  async heal(): Promise<void> {
    this.setLatency(0)
    this.throttle(undefined)
    this.resetAfter(Number.POSITIVE_INFINITY)
    this.#isHalfOpen = false
    await this.listen()
  }

  waitForConnections(n: number, timeoutMs = WAIT_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (this.connections !== n) return
        clearTimeout(timer)
        this.#waiters = this.#waiters.filter(each => each !== check)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter(each => each !== check)
        reject(new Error(`${this.connections} connections through the proxy, not ${n}, after ${timeoutMs} ms`))
      }, timeoutMs)
      this.#waiters.push(check)
      check()
    })
  }

  async close(): Promise<void> {
    this.refuse()
    this.cut()
    await Promise.all([...this.#open].map(connection => connection.closed))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #accept(socket: Socket): void {
    const route = { ...this.#upstream, conditions: this.#conditions, resetAfter: this.#resetAfter }
    const connection = this.#isHalfOpen ? new ProxiedConnection(socket) : new ProxiedConnection(socket, route)
    this.#open.add(connection)
    void connection.closed.then(() => this.#open.delete(connection))
    this.#counted.add(connection)
    // A client that closed a half-open connection is gone, though the proxy keeps its own end.
    const uncount = (): void => {
      if (this.#counted.delete(connection)) this.#notify()
    }
    socket.once('end', uncount)
    socket.once('close', uncount)
    this.#notify()
  }

  #notify(): void {
    for (const check of [...this.#waiters]) check()
  }
}

/** How long the whole process sleeps at a time. */
const NAP_MS = 0.05

function napOnceATurn(): () => void {
  const never = new Int32Array(new SharedArrayBuffer(4))
  let isDue = false
  const nap = (): void => {
    isDue = false
    Atomics.wait(never, 0, 0, NAP_MS)
  }
  return () => {
    if (isDue) return
    isDue = true
    setImmediate(nap)
  }
}
