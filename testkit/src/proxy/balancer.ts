/**
 * A small load balancer: it asks each instance whether it is ready, sends requests round and round to those that are, and
 * tries nothing twice, so that every request which an instance loses is seen.
 */

import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Balancer extends AsyncDisposable {
  readonly url: string
  /** Instances that get requests now. */
  readonly ready: number
  /** Asks the instance at this port of the loopback address from now on. */
  add(port: number): void
  /** Asks it no more. */
  remove(port: number): void
}

/** How often, and how long at most, an instance is asked. */
const PROBE_EVERY_MS = 50
const PROBE_MS = 1_000
const HOST = '127.0.0.1'

export async function startBalancer(): Promise<Balancer> {
  const targets = new Map<number, boolean>()
  const agent = new Agent({ keepAlive: true })
  let next = 0
  const server = createServer((incoming, outgoing) => {
    const ready = [...targets].filter(([, isReady]) => isReady).map(([port]) => port)
    const port = ready[next++ % Math.max(1, ready.length)]
    if (port === undefined) outgoing.writeHead(503).end('no instance is ready')
    else forward(port, agent, incoming, outgoing)
  })
  const probing = setInterval(() => {
    for (const port of targets.keys()) {
      void isReady(port).then(ready => {
        if (targets.has(port)) targets.set(port, ready)
      })
    }
  }, PROBE_EVERY_MS)
  await once(server.listen(0, HOST), 'listening')
  return {
    url: `http://${HOST}:${(server.address() as AddressInfo).port}`,
    get ready() {
      return [...targets.values()].filter(Boolean).length
    },
    add: port => void targets.set(port, false),
    remove: port => void targets.delete(port),
    async [Symbol.asyncDispose]() {
      clearInterval(probing)
      agent.destroy()
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function forward(port: number, agent: Agent, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { method, url, headers } = incoming
  const upstream = request({ host: HOST, port, agent, method, path: url, headers }, answer => {
    outgoing.writeHead(answer.statusCode ?? 502, { 'Content-Type': answer.headers['content-type'] ?? 'text/plain' })
    answer.pipe(outgoing)
    answer.on('error', () => outgoing.destroy())
  })
  upstream.on('error', error => {
    if (outgoing.headersSent) outgoing.destroy()
    else outgoing.writeHead(502).end(`instance ${port}: ${error.message}`)
  })
  incoming.pipe(upstream)
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
