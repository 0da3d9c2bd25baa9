/** Events of a pool: which, in what order, with what arguments, and what the counts are then. Asked of both pools. */

import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { called, contenders, next, OurPool, type PoolClass, poolsOf } from '../kit/contenders.js'
import { useDatabase } from '../kit/database.js'

const EVENTS = ['connect', 'acquire', 'release', 'remove', 'error'] as const
const database = useDatabase()

/** Notes every event of the pool from now on. */
function record<E>(pool: pg.Pool, note: (event: string, args: unknown[]) => E): E[] {
  const seen: E[] = []
  for (const event of EVENTS) pool.on(event as 'connect', (...args: unknown[]) => seen.push(note(event, args)))
  return seen
}

const names = (pool: pg.Pool): string[] => record(pool, event => event)
const calls = (pool: pg.Pool): unknown[][] => record(pool, (event, args) => [event, ...args])
/** Event, then total, idle and waiting. */
const counts = (pool: pg.Pool): string[] =>
  record(pool, event => `${event} ${pool.totalCount} ${pool.idleCount} ${pool.waitingCount}`)

describe.each(contenders)('%s', (_, Pool) => {
  const make = poolsOf(Pool, database)

  it('a new client: onConnect, connect, acquire, verify, then the caller', async () => {
    const seen: unknown[][] = []
    const pool = make({
      onConnect: client => void seen.push(['onConnect', client]),
      verify: (client, done) => {
        seen.push(['verify', client])
        done()
      },
    })
    for (const event of EVENTS) pool.on(event as 'connect', (...args) => seen.push([event, ...args]))
    const [, client] = await called(callback =>
      pool.connect((error, client, release) => {
        seen.push(['callback', client])
        callback(error, client, release)
      }),
    )
    const order = ['onConnect', 'connect', 'acquire', 'verify', 'callback']
    expect(seen).toEqual(order.map(name => [name, client]))
    ;(client as pg.PoolClient).release()
  })

  it('the same client again: release and acquire alone', async () => {
    const pool = make({ max: 1 })
    const client = await pool.connect()
    const seen = calls(pool)
    client.release()
    await pool.connect()
    client.release()
    expect(seen).toEqual([
      ['release', undefined, client],
      ['acquire', client],
      ['release', undefined, client],
    ])
  })

  it.each([[new Error('mine')], [true]])(
    'a client that is released with %s: release with it, then remove',
    async reason => {
      const pool = make()
      const client = await pool.connect()
      const seen = calls(pool)
      const removed = next(pool, 'remove')
      client.release(reason)
      expect(seen).toEqual([['release', reason, client]])
      await removed
      expect(seen).toEqual([
        ['release', reason, client],
        ['remove', client],
      ])
    },
  )

  it('queries: acquire and release for each, connect once for each client', async () => {
    const pool = make({ max: 2 })
    const seen = calls(pool)
    await Promise.all(Array.from({ length: 6 }, () => pool.query('select 1')))
    const clientsOf = (name: string): unknown[] => seen.filter(([event]) => event === name).map(args => args.at(-1))
    const connected = new Set(clientsOf('connect'))
    expect(clientsOf('connect')).toEqual([...connected])
    for (const name of ['acquire', 'release']) {
      expect(clientsOf(name)).toHaveLength(6)
      for (const client of clientsOf(name)) expect(connected).toContain(client)
    }
    for (const [event, error] of seen) if (event === 'release') expect(error).toBeFalsy()
    expect(clientsOf('remove')).toEqual([])
  })

  it('a connect that fails: none', async () => {
    const pool = make({ connectionString: undefined, host: '127.0.0.1', port: 1 })
    const seen = names(pool)
    await pool.connect().catch(() => undefined)
    await pool.query('select 1').catch(() => undefined)
    expect(seen).toEqual([])
  })

  it('a client that verify refuses: connect, acquire, release with the error, remove', async () => {
    const refused = new Error('not this one')
    const pool = make({ verify: (_, done) => done(refused) })
    const seen = calls(pool)
    const removed = next(pool, 'remove')
    await pool.connect().catch(() => undefined)
    const [client] = await removed
    expect(seen).toEqual([
      ['connect', client],
      ['acquire', client],
      ['release', refused, client],
      ['remove', client],
    ])
  })

  it('an idle client that fails: error and remove', async () => {
    const pool = make()
    const client = await pool.connect()
    client.release()
    const seen = calls(pool)
    const removed = next(pool, 'remove')
    await database.killBackends()
    await removed
    expect(seen).toHaveLength(2)
    expect(seen).toContainEqual(['error', expect.objectContaining({ code: '57P01', client }), client])
    expect(seen).toContainEqual(['remove', client])
  })

  it('a client in use that fails: release and remove, when it is released', async () => {
    const pool = make()
    const client = await pool.connect()
    client.on('error', () => undefined)
    const seen = calls(pool)
    const lost = next(client, 'error')
    await database.killBackends()
    await lost
    expect(seen).toEqual([])
    const removed = next(pool, 'remove')
    client.release()
    await removed
    expect(seen).toEqual([
      ['release', undefined, client],
      ['remove', client],
    ])
  })

  it('a client idle for too long: remove', async () => {
    const pool = make({ idleTimeoutMillis: 20 })
    await pool.query('select 1')
    const seen = names(pool)
    await next(pool, 'remove')
    expect(seen).toEqual(['remove'])
  })

  it('an end: remove for each client', async () => {
    const pool = make()
    const clients = await Promise.all([pool.connect(), pool.connect()])
    const seen = calls(pool)
    const [first, second] = clients
    first?.release()
    const removals = new Promise<void>(resolve => {
      let left = 2
      pool.on('remove', () => --left === 0 && resolve())
    })
    const ended = pool.end()
    second?.release()
    await Promise.all([ended, removals])
    expect(seen.filter(([event]) => event === 'release')).toEqual(clients.map(client => ['release', undefined, client]))
    const removed = seen.filter(([event]) => event === 'remove').map(([, client]) => client)
    expect(new Set(removed)).toEqual(new Set(clients))
    expect(seen).toHaveLength(4)
  })

  it('remove comes when the connection is closed', async () => {
    const pool = make()
    const client = await pool.connect()
    const removed = next(pool, 'remove')
    client.release(true)
    await removed
    expect(client.connection.stream).toMatchObject({ readable: false, writable: false })
  })

  it('all find the counts of pg', async () => {
    const pool = make({ max: 1 })
    const seen = counts(pool)
    const note = (moment: string): void =>
      void seen.push(`${moment} ${pool.totalCount} ${pool.idleCount} ${pool.waitingCount}`)
    const connected = pool.connect()
    note('asked')
    const waiting = pool.connect().then(client => {
      note('served')
      return client
    })
    note('asked twice')
    const client = await connected
    note('connected')
    client.release()
    await waiting
    const removed = next(pool, 'remove')
    client.release(true)
    note('released')
    await removed
    expect(seen).toEqual([
      'asked 1 0 0',
      'asked twice 1 0 1',
      'connect 1 0 1',
      'acquire 1 0 1',
      'connected 1 0 1',
      'release 1 0 1',
      'acquire 1 0 0',
      'served 1 0 0',
      'release 1 0 0',
      'released 0 0 0',
      'remove 0 0 0',
    ])
  })

  it('waitingCount counts down as those who wait are served, or give up', async () => {
    const pool = make({ max: 1, connectionTimeoutMillis: 250 })
    const client = await pool.connect()
    const waiting = Promise.allSettled([pool.connect(), pool.connect(), pool.query('select 1')])
    expect(pool.waitingCount).toBe(3)
    await waiting
    expect(pool.waitingCount).toBe(0)
    client.release()
  })
})

describe('where ours is another on purpose', () => {
  async function ofFailedQuery(Pool: PoolClass, options?: object): Promise<string[]> {
    const pool = poolsOf(Pool, database)({ max: 1, ...options })
    await pool.query('select 1')
    const seen = record(pool, (event, [error]) => `${event}${event === 'release' && error ? ' with the error' : ''}`)
    await pool.query('select bad').catch(() => undefined)
    await pool.end()
    await database.expectNoConnection()
    return seen
  }

  it('a query that the server refused does not release its client with the error, since it is kept', async () => {
    const withError = ['acquire', 'release with the error', 'remove']
    expect(await ofFailedQuery(pg.Pool)).toEqual(withError)
    expect(await ofFailedQuery(OurPool)).toEqual(['acquire', 'release', 'remove'])
    expect(await ofFailedQuery(OurPool, { onQueryError: 'destroy' })).toEqual(withError)
  })
})
