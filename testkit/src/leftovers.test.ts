/** What is left open is found and named; what was there before, or does not keep the process alive, is not. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from './eventually.js'
import { leftovers } from './leftovers.js'
import { startRedis } from './redis/start-redis.js'
import { testRedis } from './vitest.js'

let listener: Server

beforeAll(async () => {
  listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
})

afterAll(() => {
  listener.close()
})

test('a timer is found until it is cleared, and one that keeps nothing alive is not', () => {
  const before = leftovers()
  before.check()
  setTimeout(() => {}, 60_000).unref()
  before.check()
  const timer = setTimeout(() => {}, 60_000)
  const interval = setInterval(() => {}, 60_000)
  expect(() => before.check()).toThrow(
    /^left open: timer of 60000 ms set .*leftovers.test.ts:\d+:\d+\)?, timer of 60000 ms set .*leftovers.test.ts/,
  )
  clearTimeout(timer)
  clearInterval(interval)
  before.check()
})

test('a socket is found, with where it leads', async () => {
  const before = leftovers()
  const { port, host } = testRedis()
  const socket = connect(port, host)
  await once(socket, 'connect')
  expect(() => before.check()).toThrow(
    `left open: socket; sockets now (local -> remote port): ${socket.localPort} -> ${port}`,
  )
  socket.destroy()
  await eventually(() => before.check())
})

test('a listening server is found', async () => {
  const before = leftovers()
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  expect(() => before.check()).toThrow('left open: listening server')
  server.close()
  await eventually(() => before.check())
})

test('a child process is found', async () => {
  const before = leftovers()
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] })
  expect(() => before.check()).toThrow('child process')
  child.stdin.end()
  await once(child, 'exit')
  await eventually(() => before.check())
})

test('a server of the test kit is found by name, though it keeps no process alive', async () => {
  const before = leftovers()
  const server = await startRedis({ own: true })
  expect(() => before.check()).toThrow(`left open: Redis server (pid ${server.pid})`)
  await server[Symbol.asyncDispose]()
  await eventually(() => before.check())
})

test('what was open before is not counted', () => {
  expect(listener.listening).toBe(true)
  leftovers().check()
})
