/** A server in a stop: what it was asked is answered, what comes too late is told so, and nothing of it is left. */

import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { systemClock } from '@breakwater/kernel'
import { beforeEach, describe, expect, it } from 'vitest'
import { Lifecycle } from '../lifecycle/lifecycle.js'
import { Probes } from './probes.js'
import { type ServeOptions, serverComponent } from './serve.js'

let lifecycle: Lifecycle
let server: Server
let probes: Probes
let port: number
/** Requests that the handler holds, by path. */
let held: Map<string, ServerResponse>

beforeEach(() => {
  lifecycle = new Lifecycle(systemClock)
  probes = new Probes(lifecycle)
  held = new Map()
  server = createServer((incoming, response) => {
    if (probes.answer(incoming, response)) return
    if (incoming.url?.startsWith('/hold')) held.set(incoming.url, response)
    else response.end(lifecycle.inFlight.current?.name)
  })
})

async function up(options: ServeOptions = {}): Promise<void> {
  lifecycle.add(
    serverComponent(server, { port: 0, host: '127.0.0.1', ...options }, lifecycle.inFlight, systemClock),
    'others',
  )
  await lifecycle.init()
  port = (server.address() as AddressInfo).port
}

interface Answer {
  readonly status: number | undefined
  readonly connection: string | undefined
  readonly retryAfter: string | undefined
  readonly body: string
}

async function ask(path: string, agent?: Agent): Promise<Answer> {
  const outgoing = request({ host: '127.0.0.1', port, path, ...(agent && { agent }) })
  outgoing.end()
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  let body = ''
  for await (const chunk of answer) body += chunk
  const { connection, 'retry-after': retryAfter } = answer.headers
  return { status: answer.statusCode, connection, retryAfter, body }
}

const isHeld = async (path: string): Promise<void> => {
  while (!held.has(path)) await new Promise(setImmediate)
}

describe('a server', () => {
  it('listens when everything else has started, and is the first to be drained', async () => {
    const seen: string[] = []
    lifecycle.add({ name: 'a', start: () => void seen.push(`${server.listening}`) })
    lifecycle.add({ name: 'b', dependsOn: ['a'], drain: () => void seen.push(`${server.listening}`) })
    await up()
    expect(server.listening).toBe(true)
    await lifecycle.dispose()
    expect(seen).toEqual(['false', 'false'])
  })

  it('answers what is under way, and closes its connection behind that', async () => {
    await up()
    const agent = new Agent({ keepAlive: true })
    const answer = ask('/hold', agent)
    await isHeld('/hold')
    const disposed = lifecycle.dispose()
    await new Promise(setImmediate)
    held.get('/hold')?.end('late')
    expect(await answer).toMatchObject({ status: 200, body: 'late', connection: 'close' })
    await disposed
    agent.destroy()
  })

  it('serves what comes over a connection from before, and knows in which request its code runs', async () => {
    await up()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    expect(await ask('/a?secret=1', agent)).toMatchObject({ connection: 'keep-alive', body: 'GET /a' })
    const slow = ask('/hold')
    await isHeld('/hold')
    lifecycle.inFlight.drain()
    expect(await ask('/b', agent)).toMatchObject({ status: 200, connection: 'close' })
    held.get('/hold')?.end()
    await slow
    await lifecycle.dispose()
    agent.destroy()
  })

  it('answers what was on its way over an idle connection when the port was closed', async () => {
    await up()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    await ask('/a', agent)
    const disposed = lifecycle.dispose()
    // An idle connection is closed by Node's own server at once, with whatever comes over it.
    while (server.listening) await new Promise(setImmediate)
    expect(await ask('/b', agent)).toMatchObject({ status: 200, body: 'GET /b', connection: 'close' })
    await disposed
    agent.destroy()
  })

  it('told to refuse while it drains says 503 and when to come again', async () => {
    await up({ whileDraining: 'refuse' })
    lifecycle.inFlight.drain()
    expect(await ask('/a')).toMatchObject({ status: 503, retryAfter: '1', connection: 'close' })
    await lifecycle.dispose()
  })

  it('ends by force what does not end, upgraded connections too', async () => {
    server.on('upgrade', (_, socket: Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    })
    await up()
    const hanging = ask('/hold').catch((error: NodeJS.ErrnoException) => error.code)
    await isHeld('/hold')
    const socket = connect(port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    await once(socket, 'data')
    const closed = once(socket, 'close')
    const error = await lifecycle.dispose({ deadline: 200 }).catch(error => error)
    expect(error.message).toContain('still under way: GET /hold')
    expect(error.left.work).toEqual([{ kind: 'request', name: 'GET /hold', ageMs: expect.any(Number) }])
    expect(await hanging).toBe('ECONNRESET')
    await closed
  })

  it('does not wait for somebody who never finishes asking', async () => {
    await up()
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {}).write('GET / HTTP/1.1\r\nHost')
    await once(socket, 'connect')
    await lifecycle.dispose()
    socket.destroy()
  })

  it('that cannot listen fails the start with its own error', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const taken = (other.address() as AddressInfo).port
    await expect(up({ port: taken })).rejects.toMatchObject({ code: 'INIT_FAILED', cause: { code: 'EADDRINUSE' } })
    other.close()
  })

  it('refuses options that are wrong, all at once', () => {
    expect(() => serverComponent(server, { prt: 1, port: -1 } as never, lifecycle.inFlight, systemClock)).toThrow(
      /prt is not an option.*port must be/,
    )
  })
})

describe('the probes', () => {
  it('tell ready, live and started apart, and are no work', async () => {
    await up()
    const all = async (): Promise<(number | undefined)[]> =>
      (await Promise.all(['/live', '/ready', '/startup?x'].map(path => ask(path)))).map(each => each.status)
    expect(await all()).toEqual([200, 200, 200])
    const slow = ask('/hold')
    await isHeld('/hold')
    const last = lifecycle.inFlight.lastRequestAt
    // A connection that is open keeps being answered when the port is closed.
    const agent = new Agent({ keepAlive: true })
    await ask('/live', agent)
    const disposed = lifecycle.dispose()
    expect(lifecycle.inFlight.lastRequestAt).toBe(last)
    held.get('/hold')?.end()
    await Promise.all([slow, disposed])
    agent.destroy()
    const answer = (path: string): boolean => {
      const end = (): void => {}
      let ok = false
      const writeHead = (status: number): void => {
        ok = status === 200
      }
      const response = { writeHead, end }
      expect(
        probes.answer({ url: path, method: 'GET' } as IncomingMessage, response as unknown as ServerResponse),
      ).toBe(true)
      return ok
    }
    expect(['/live', '/ready', '/startup'].map(answer)).toEqual([false, false, true])
  })

  it('leave every other request to others', () => {
    for (const [method, url] of [
      ['GET', '/'],
      ['POST', '/live'],
      ['GET', '/live/x'],
      ['GET', '/__proto__'],
    ]) {
      expect(probes.answer({ method, url } as IncomingMessage, {} as ServerResponse)).toBe(false)
    }
  })
})
