/** Redis: servers of our own, somebody else's, and none at all. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { Redis } from 'ioredis'
import { afterEach, expect, test, vi } from 'vitest'
import { freePort } from '../process/port.js'
import { isAlive } from '../process/tree.mjs'
import { testRedis } from '../vitest.js'
import { startRedis } from './start-redis.js'

afterEach(() => {
  vi.unstubAllEnvs()
})

function client(url: string, tls?: { ca?: string }): Redis & Disposable {
  // A connection that failed is forgotten at once: ioredis holds a timer for it.
  const redis = new Redis(url, { ...(tls && { tls }), retryStrategy: () => null, disconnectTimeout: 0 })
  redis.on('error', () => {})
  return Object.assign(redis, { [Symbol.dispose]: () => redis.disconnect() })
}

test('a server of our own starts, keeps nothing on disk, and is gone when disposed of', async () => {
  let pid: number | undefined
  {
    await using server = await startRedis({ own: true, settings: { maxmemory: '50mb' } })
    pid = server.pid
    using redis = client(server.url)
    expect(await redis.set('greeting', 'hello')).toBe('OK')
    expect(await redis.get('greeting')).toBe('hello')
    expect(await redis.config('GET', 'maxmemory')).toEqual(['maxmemory', '52428800'])
    expect(await redis.config('GET', 'save')).toEqual(['save', ''])
    expect(await redis.info('server')).toContain(`redis_version:${server.version}`)
  }
  expect(pid !== undefined && isAlive(pid)).toBe(false)
})

test('a server is in a session of its own, so that Ctrl+C does not reach it', async () => {
  await using server = await startRedis({ own: true })
  expect(sessionOf(server.pid)).toBe(server.pid)
})

/** Source: proc(5), `/proc/pid/stat`, field 6. */
function sessionOf(pid: number | undefined): number {
  return Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ')[3])
}

test('with TLS only clients that use it and trust the authority get in', async () => {
  await using server = await startRedis({ own: true, tls: true })
  expect(server.url).toMatch(/^rediss:/)
  using trusting = client(server.url, { ca: server.ca ?? '' })
  expect(await trusting.ping()).toBe('PONG')
  using stranger = client(server.url, {})
  await expect(stranger.ping()).rejects.toThrow()
  using plain = client(server.url.replace('rediss:', 'redis:'))
  await expect(plain.ping()).rejects.toThrow()
})

test('with a password only those who know it get in', async () => {
  await using server = await startRedis({ own: true, password: `a b'c"d\\é` })
  using friend = client(server.url)
  expect(await friend.ping()).toBe('PONG')
  const url = new URL(server.url)
  url.password = ''
  using stranger = client(url.href)
  await expect(stranger.ping()).rejects.toThrow('NOAUTH')
})

test('a hung server accepts and says nothing until it is resumed', async () => {
  await using server = await startRedis({ own: true })
  using redis = client(server.url)
  await redis.ping()
  server.hang()
  const late = connect(server.port, server.host)
  await once(late, 'connect')
  late.write('PING\r\n')
  const answers = [redis.ping(), once(late, 'data').then(([data]) => String(data))]
  expect(await Promise.race([...answers, Promise.resolve('nothing')])).toBe('nothing')
  server.resume()
  expect(await Promise.all(answers)).toEqual(['PONG', '+PONG\r\n'])
  late.destroy()
})

test('a killed server starts again on its port, with nothing in it', async () => {
  await using server = await startRedis({ own: true })
  const { pid, url } = server
  using before = client(url)
  await before.set('greeting', 'hello')
  await server.kill()
  expect(pid !== undefined && isAlive(pid)).toBe(false)
  await server.start()
  using after = client(url)
  expect(await after.exists('greeting')).toBe(0)
})

test('a server that cannot start is an error that quotes the end of its log', async () => {
  const failure = startRedis({ own: true, settings: { 'maxmemory-policy': 'whatever' } })
  await expect(failure).rejects.toThrow(/Redis ended during its start; its log ends:\n(.|\n)*maxmemory-policy/)
})

test('REDIS_URL is used, and its server can be neither hung nor killed', async () => {
  vi.stubEnv('REDIS_URL', testRedis().url)
  await using server = await startRedis()
  expect(server).toMatchObject({ port: testRedis().port, version: testRedis().version, pid: undefined })
  expect(() => server.hang()).toThrow('hang() is not for this server: it comes from REDIS_URL')
  await using own = await startRedis({ own: true })
  expect(own.port).not.toBe(server.port)
})

test('REDIS_URL with a password and TLS is understood, and a wrong password is not shown', async () => {
  await using server = await startRedis({ own: true, password: 's3cret' })
  vi.stubEnv('REDIS_URL', server.url)
  expect((await startRedis()).version).toBe(server.version)
  vi.stubEnv('REDIS_URL', server.url.replace('s3cret', 'wr0ng'))
  const failure = await startRedis().catch((error: Error) => error)
  expect(String(failure)).toContain('REDIS_URL cannot connect to 127.0.0.1')
  expect(String(failure)).toContain('WRONGPASS')
  expect(String(failure)).not.toContain('wr0ng')
})

test('a REDIS_URL that leads nowhere, or is none, is one clear line', async () => {
  const port = await freePort()
  vi.stubEnv('REDIS_URL', `redis://:s3cret@127.0.0.1:${port}`)
  await expect(startRedis()).rejects.toThrow(
    `REDIS_URL cannot connect to 127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}; mend it, or unset it to have a server started`,
  )
  vi.stubEnv('REDIS_URL', 'localhost s3cret')
  const failure = await startRedis().catch((error: Error) => error)
  expect(String(failure)).toContain('REDIS_URL is not a URL such as')
  expect(String(failure)).not.toContain('s3cret')
})

test('where there is no Redis to be had, the error names the three ways out', async () => {
  vi.stubEnv('PATH', '')
  vi.stubEnv('REDIS_URL', undefined)
  await expect(startRedis()).rejects.toThrow(
    'no Redis: it is not on PATH; set REDIS_URL to a server of your own, or put redis-server or valkey-server on PATH, or use Debian or Ubuntu with apt-get',
  )
})
