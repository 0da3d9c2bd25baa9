/**
 * A small load balancer: it asks each instance whether it is ready, sends requests round and round to those that are, and
 * tries nothing twice, so that every request which an instance loses is seen. What it was told goes out of date: where this
 * process was not given the CPU for a while, requests wait until it has asked again.
 */

import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Balancer extends AsyncDisposable {
  readonly url: string
  /** Instances that said last that they were ready. */
  readonly ready: number
  /** Asks the instance at this port of the loopback address from now on. */
  add(port: number): void
  /** Asks it no more. */
  remove(port: number): void
}

/** How often, and how long at most, an instance is asked. */
const PROBE_EVERY_MS = 50
const PROBE_MS = 1_000
/** How long an answer holds, from the question on: less than the second for which an instance that stops serves on. */
const HOLDS_MS = 500
const HOST = '127.0.0.1'

interface Target {
  readonly port: number
  isReady: boolean
  /** When it was asked what it has answered last, ms. */
  askedAt: number
}

export async function startBalancer(): Promise<Balancer> {
  const targets = new Map<number, Target>()
  const agent = new Agent({ keepAlive: true })
  const stopped = new AbortController()
  let waiting: (() => void)[] = []
  let next = 0
  const route = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const ready = [...targets.values()].filter(isKnownReady)
    const target = ready[next++ % Math.max(1, ready.length)]
    if (target === undefined) waiting.push(() => route(incoming, outgoing))
    else forward(target, agent, incoming, outgoing, () => route(incoming, outgoing))
  }
  const probe = async (target: Target): Promise<void> => {
    while (targets.get(target.port) === target && !stopped.signal.aborted) {
      const askedAt = performance.now()
      Object.assign(target, { isReady: await isReady(target.port), askedAt })
      const retried = waiting
      waiting = []
      for (const retry of retried) retry()
      await sleep(PROBE_EVERY_MS, undefined, { signal: stopped.signal }).catch(() => {})
    }
  }
  const server = createServer(route)
  await once(server.listen(0, HOST), 'listening')
  return {
    url: `http://${HOST}:${(server.address() as AddressInfo).port}`,
    get ready() {
      return [...targets.values()].filter(target => target.isReady).length
    },
    add(port) {
      const target = { port, isReady: false, askedAt: 0 }
      targets.set(port, target)
      void probe(target)
    },
    remove: port => void targets.delete(port),
    async [Symbol.asyncDispose]() {
      stopped.abort()
      agent.destroy()
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function isKnownReady({ isReady, askedAt }: Target): boolean {
  return isReady && askedAt > performance.now() - HOLDS_MS
}

/** @param reroute called if the target may not be ready any more when the way to it is open; then it was sent nothing. */
function forward(
  target: Target,
  agent: Agent,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  reroute: () => void,
): void {
  const { method, url, headers } = incoming
  const { port } = target
  const upstream = request({ host: HOST, port, agent, method, path: url, headers }, answer => {
    outgoing.writeHead(answer.statusCode ?? 502, { 'Content-Type': answer.headers['content-type'] ?? 'text/plain' })
    answer.pipe(outgoing)
    answer.on('error', () => outgoing.destroy())
  })
  upstream.on('error', error => {
    if (outgoing.headersSent) outgoing.destroy()
    else outgoing.writeHead(502).end(`instance ${port}: ${error.message}`)
  })
  upstream.on('socket', socket => {
    const send = (): void => {
      if (isKnownReady(target)) incoming.pipe(upstream)
      else {
        upstream.removeAllListeners('error').on('error', () => {})
        upstream.destroy()
        reroute()
      }
    }
    if (socket.connecting) socket.once('connect', send)
    else send()
  })
}

function isReady(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const probe = request({ host: HOST, port, path: '/ready', agent: false, timeout: PROBE_MS }, answer => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    probe.on('timeout', () => probe.destroy())
    probe.on('error', () => resolve(false))
    probe.end()
  })
}
