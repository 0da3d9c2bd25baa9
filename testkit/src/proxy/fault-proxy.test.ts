/** Every fault, with a real client on one side and a real server on the other. */

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { eventually } from '../eventually.js'
import { startPostgres } from '../postgres/start-postgres.js'
import { freePort } from '../process/port.js'
import { testPostgres, testRedis } from '../vitest.js'
import { type FaultProxy, startProxy } from './fault-proxy.js'

/** A client of the shared Postgres through `proxy`, and the error that ends its connection. */
async function throughProxy(proxy: FaultProxy) {
  const client = new pg.Client({ connectionString: proxy.url(testPostgres().url) })
  const failure = new Promise<Error & { code?: string }>(resolve => client.on('error', resolve))
  await client.connect()
  return {
    client,
    failure,
    [Symbol.asyncDispose]: () => client.end(),
  }
}

/** A bare connection to the shared Redis through `proxy`. */
async function rawThroughProxy(proxy: FaultProxy): Promise<Socket> {
  const socket = connect(proxy.port, proxy.host)
  await once(socket, 'connect')
  return socket
}

async function turns(n: number): Promise<void> {
  for (let turn = 0; turn < n; turn++) await nextTurn()
}

test('without a fault it forwards both ways, whole and in order, and counts connections', async () => {
  await using proxy = await startProxy(testPostgres())
  expect(proxy.connections).toBe(0)
  {
    await using one = await throughProxy(proxy)
    await using two = await throughProxy(proxy)
    expect(proxy.connections).toBe(2)
    const big = 'breakwater'.repeat(300_000)
    const { rows } = await one.client.query('select $1::text as echo, md5($1) as sum', [big])
    expect(rows[0].echo === big).toBe(true)
    expect(rows[0].sum).toBe(createHash('md5').update(big).digest('hex'))
    expect((await two.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  }
  await proxy.waitForConnections(0)
})

test('it keeps everything in the URL but host and port', async () => {
  await using proxy = await startProxy({ host: 'db.example', port: 1 })
  const here = `127.0.0.1:${proxy.port}`
  expect(proxy.url('postgres://ann:a%20b@db.example:5432/shop?sslmode=no-verify')).toBe(
    `postgres://ann:a%20b@${here}/shop?sslmode=no-verify`,
  )
  expect(proxy.url('redis://:pw@db.example/3')).toBe(`redis://:pw@${here}/3`)
})

test('TLS passes through it, verified', async () => {
  await using server = await startPostgres({ own: true, tls: true })
  await using proxy = await startProxy(server)
  const client = new pg.Client({ connectionString: proxy.url(server.url) })
  await client.connect()
  const { rows } = await client.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')
  expect(rows).toEqual([{ ssl: true }])
  await client.end()
})

test.each([
  [1, {}],
  [20, {}],
  [20, { isAlone: true }],
])('a latency of %d ms is added to each round trip, not more, with %o', async (latency, options) => {
  await using proxy = await startProxy(testRedis(), options)
  const socket = await rawThroughProxy(proxy)
  onTestFinished(() => void socket.destroy())
  proxy.setLatency(latency)
  const trips: number[] = []
  const isSlow = (): boolean => Math.min(...trips) >= latency + 3
  // The quickest counts: of the others the machine may be the cause, and of all where it is busy.
  while (trips.length < 15 || (isSlow() && trips.length < 300)) {
    const start = performance.now()
    socket.write('PING\r\n')
    expect(String((await once(socket, 'data'))[0])).toBe('+PONG\r\n')
    trips.push(performance.now() - start)
  }
  expect(Math.min(...trips)).toBeGreaterThanOrEqual(latency)
  expect(isSlow()).toBe(false)
})

test('with latency nothing is lost or overtaken, also when the latency falls meanwhile', async () => {
  await using proxy = await startProxy(testRedis())
  const socket = await rawThroughProxy(proxy)
  let received = ''
  socket.on('data', data => {
    received += data
  })
  for (const latency of [40, 0, 10]) {
    proxy.setLatency(latency)
    for (let n = 0; n < 50; n++) socket.write(`ECHO ${latency}-${n}\r\n`)
    await once(socket, 'data')
  }
  socket.end('QUIT\r\n')
  await once(socket, 'close')
  const echoed = received.split('\r\n').filter(line => /^\d+-\d+$/.test(line))
  expect(echoed).toEqual([40, 0, 10].flatMap(latency => Array.from({ length: 50 }, (_, n) => `${latency}-${n}`)))
})

test('a throttled connection carries no more than its bytes a second, in a trickle', async () => {
  await using proxy = await startProxy(testPostgres())
  await using through = await throughProxy(proxy)
  proxy.throttle(400_000)
  const start = performance.now()
  await through.client.query("select repeat('x', 100000)")
  const elapsed = performance.now() - start
  expect(elapsed).toBeGreaterThan(240)
  proxy.throttle(undefined)
  await eventually(async () => {
    const free = performance.now()
    await through.client.query("select repeat('x', 100000)")
    expect(performance.now() - free).toBeLessThan(240)
  })
})

test('a cut resets present connections, and new ones work', async () => {
  await using proxy = await startProxy(testPostgres())
  await using through = await throughProxy(proxy)
  const pending = through.client.query('select pg_sleep(60)')
  proxy.cut()
  await expect(pending).rejects.toMatchObject({ code: 'ECONNRESET' })
  await proxy.waitForConnections(0)
  await using next = await throughProxy(proxy)
  expect((await next.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

test('half-open swallows everything both ways and closes nothing; healed, only new connections work', async () => {
  await using proxy = await startProxy(testRedis())
  const before = await rawThroughProxy(proxy)
  proxy.halfOpen()
  const during = await rawThroughProxy(proxy)
  await proxy.waitForConnections(2)
  const heard: string[] = []
  for (const socket of [before, during]) {
    for (const event of ['data', 'end', 'close', 'error']) socket.on(event, () => heard.push(event))
    socket.write('PING\r\n')
  }
  await proxy.heal()
  before.write('PING\r\n')

  const after = await rawThroughProxy(proxy)
  after.write('PING\r\n')
  expect(String((await once(after, 'data'))[0])).toBe('+PONG\r\n')
  await turns(50)
  expect(heard).toEqual([])
  for (const socket of [before, during, after]) socket.destroy()
  await proxy.waitForConnections(0)
})

test('half-open hides the end of the server too', async () => {
  await using server = await startPostgres({ own: true })
  await using proxy = await startProxy(server)
  const client = new pg.Client({ connectionString: proxy.url(server.url) })
  let isEnded = false
  client.on('error', () => {
    isEnded = true
  })
  await client.connect()
  proxy.halfOpen()
  await server.kill()
  await turns(50)
  expect(isEnded).toBe(false)
  proxy.cut()
  await proxy.waitForConnections(0)
})

test('half-open hides the end of the client too', async () => {
  await using proxy = await startProxy(testPostgres())
  await using database = await testPostgres().createDatabase()
  const client = new pg.Client({ connectionString: proxy.url(database.url) })
  client.on('error', () => {})
  await client.connect()
  const { rows } = await client.query('select pg_backend_pid() as pid')
  const backend = () => database.query('select 1 as there from pg_stat_activity where pid = $1', [rows[0].pid])
  proxy.halfOpen()
  const { connection } = client as unknown as { connection: { stream: Socket } }
  connection.stream.resetAndDestroy()
  await proxy.waitForConnections(0)
  await turns(50)
  expect(await backend()).toEqual([{ there: 1 }])
  await proxy.close()
  await eventually(async () => expect(await backend()).toEqual([]))
})

test('refuse turns new connections away and keeps present ones; healed, it listens on its port again', async () => {
  await using proxy = await startProxy(testPostgres())
  await using through = await throughProxy(proxy)
  proxy.refuse()
  await expect(throughProxy(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  expect((await through.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await proxy.heal()
  await using next = await throughProxy(proxy)
  expect((await next.client.query('select 2 as two')).rows).toEqual([{ two: 2 }])
})

test.each([0, 4, 7])(
  'reset after %d bytes hands on exactly these, then resets; present connections are spared',
  async bytes => {
    await using proxy = await startProxy(testRedis())
    const spared = await rawThroughProxy(proxy)
    proxy.resetAfter(bytes)
    for (let round = 0; round < 2; round++) {
      const socket = connect(proxy.port, proxy.host)
      let received = ''
      socket.on('data', data => {
        received += data
      })
      socket.write('PING\r\n')
      const [error] = await once(socket, 'error').catch(failure => [failure])
      expect(error).toMatchObject({ code: 'ECONNRESET' })
      expect(received).toBe('+PONG\r\n'.slice(0, bytes))
    }
    spared.write('PING\r\nPING\r\n')
    expect(String((await once(spared, 'data'))[0])).toBe('+PONG\r\n+PONG\r\n')
    spared.destroy()
  },
)

test('a server that refuses shows as a reset', async () => {
  await using proxy = await startProxy({ host: '127.0.0.1', port: await freePort() })
  const socket = connect(proxy.port, proxy.host)
  const [error] = await once(socket, 'error')
  expect(error).toMatchObject({ code: 'ECONNRESET' })
})

test('an orderly end of one side reaches the other as one', async () => {
  await using proxy = await startProxy(testRedis())
  const socket = await rawThroughProxy(proxy)
  socket.resume().write('QUIT\r\n')
  await once(socket, 'end')
  await proxy.waitForConnections(0)
})

test('closed with bytes still on their way, it leaves nothing behind', async () => {
  const proxy = await startProxy(testRedis())
  const socket = await rawThroughProxy(proxy)
  proxy.setLatency(60_000)
  socket.write('PING\r\n')
  await turns(20)
  const reset = once(socket, 'error').catch(failure => [failure])
  await proxy.close()
  await reset
  await proxy.close()
})

test('waiting for connections that do not come says how many there are', async () => {
  await using proxy = await startProxy(testRedis())
  await expect(proxy.waitForConnections(1, 30)).rejects.toThrow('0 connections through the proxy, not 1, after 30 ms')
})
