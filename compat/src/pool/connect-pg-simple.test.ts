/** connect-pg-simple, the session store of Express, on our Pool. */

import { Pool } from '@breakwater/pool'
import connectPgSimple from 'connect-pg-simple'
import session from 'express-session'
import { expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../kit/database.js'

const PgStore = connectPgSimple(session)
type Store = InstanceType<typeof PgStore>

const database = useDatabase()

function open(options?: object): { store: Store; pool: Pool } {
  const pool = new Pool({ connectionString: database.url, max: 2 })
  const store = new PgStore({ pool, createTableIfMissing: true, pruneSessionInterval: false, ...options })
  onTestFinished(async () => {
    await store.close()
    // The store does not end a pool that it was given.
    expect(pool.ending).toBe(false)
    await pool.end()
    await database.expectNoConnection()
  })
  return { store, pool }
}

/** Calls a method of a store, whose callback is its last argument. */
function call(store: Store, method: 'get' | 'set' | 'touch' | 'destroy' | 'pruneSessions', ...args: unknown[]) {
  return new Promise<unknown>((resolve, reject) => {
    const done = (error: unknown, result: unknown): void => (error ? reject(error) : resolve(result))
    ;(store[method] as (...args: unknown[]) => void)(...args, done)
  })
}

const sessionOf = (user: string, ttlMs = 60_000): object => ({
  cookie: { originalMaxAge: ttlMs, expires: new Date(Date.now() + ttlMs).toISOString() },
  user,
})

it('makes its table, and keeps, touches and destroys a session', async () => {
  const { store } = open()
  await call(store, 'set', 'sid-1', sessionOf('ada'))
  expect(await call(store, 'get', 'sid-1')).toMatchObject({ user: 'ada' })
  await call(store, 'touch', 'sid-1', sessionOf('ada', 120_000))
  await call(store, 'destroy', 'sid-1')
  expect(await call(store, 'get', 'sid-1')).toBeUndefined()
})

it('serves many sessions at once', async () => {
  const { store } = open()
  const ids = Array.from({ length: 20 }, (_, i) => `many-${i}`)
  await Promise.all(ids.map(id => call(store, 'set', id, sessionOf(id))))
  const found = await Promise.all(ids.map(id => call(store, 'get', id)))
  expect(found.map(each => (each as { user: string }).user)).toEqual(ids)
})

it('forgets and prunes what has expired', async () => {
  const { store, pool } = open()
  await call(store, 'set', 'old', sessionOf('old', -1_000_000))
  expect(await call(store, 'get', 'old')).toBeUndefined()
  await call(store, 'pruneSessions')
  expect((await pool.query("select * from session where sid = 'old'")).rows).toEqual([])
})

it("hands the driver's error to its callback, and goes on", async () => {
  const { store } = open({ createTableIfMissing: false, tableName: 'missing' })
  await expect(call(store, 'get', 'sid')).rejects.toMatchObject({ code: '42P01' })
  await database.killBackends()
  await expect(call(store, 'get', 'sid')).rejects.toMatchObject({ code: '42P01' })
})
