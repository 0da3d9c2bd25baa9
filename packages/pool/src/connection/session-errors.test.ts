/** What errors mean, by what real servers and sockets make of them. */

import { startPostgres, startProxy } from '@breakwater/testkit'
import { testPostgres } from '@breakwater/testkit/vitest'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../../test/pool-kit.js'
import { endsSession, hasNotRun, isTransient } from './session-errors.js'

const database = useDatabase()

async function errorOfConnect(options: pg.ClientConfig): Promise<unknown> {
  const client = new pg.Client(options)
  client.on('error', () => undefined)
  return await client.connect().then(
    () => client.end(),
    error => error,
  )
}

describe('a connect', () => {
  it('that is refused, reset, or not answered may succeed later', async () => {
    const proxy = await startProxy(testPostgres())
    onTestFinished(() => proxy.close())
    const connectionString = proxy.url(database.url)
    const errors: unknown[] = []
    proxy.halfOpen()
    errors.push(await errorOfConnect({ connectionString, connectionTimeoutMillis: 50 }))
    await proxy.waitForConnections(0)
    await proxy.heal()
    proxy.setLatency(1_000)
    const reset = errorOfConnect({ connectionString })
    await proxy.waitForConnections(1)
    proxy.cut()
    errors.push(await reset)
    proxy.refuse()
    errors.push(await errorOfConnect({ connectionString }))
    expect(errors).toHaveLength(3)
    for (const error of errors) expect([error, isTransient(error)]).toEqual([expect.any(Error), true])
  })

  it('that is wrong in itself will not', async () => {
    const server = await startPostgres({ tls: true, password: 'right' })
    onTestFinished(() => server[Symbol.asyncDispose]())
    const { host, port } = server
    const ssl = { ca: server.ca as string }
    const errors = [
      await errorOfConnect({ host, port, ssl, user: 'postgres', password: 'wrong', database: 'postgres' }),
      await errorOfConnect({ connectionString: server.url.replace(/\?.*/, ''), ssl: { ca: 'none' } }),
      await errorOfConnect({ connectionString: database.url.replace(/[^/]+$/, 'no_such_database') }),
      await errorOfConnect({ connectionString: database.url, ssl: true }),
    ]
    expect(errors.map(error => (error as { code?: string }).code)).toEqual(expect.arrayContaining(['28P01', '3D000']))
    for (const error of errors) expect([error, isTransient(error)]).toEqual([expect.any(Error), false])
  })
})

it('a name that is not found may be found later, since it was once', () => {
  expect(isTransient({ code: 'ENOTFOUND', syscall: 'getaddrinfo' })).toBe(true)
})

it('only what the server refused, or the system did not take, has not run', () => {
  const write = { code: 'EPIPE', syscall: 'write' }
  for (const error of [{ code: '57P03' }, { code: '53300' }, write]) expect(hasNotRun(error)).toBe(true)
  const read = { code: 'ECONNRESET', syscall: 'read' }
  for (const error of [{ code: '57P01' }, read, new Error('x'), null]) expect(hasNotRun(error)).toBe(false)
})

it('an error of one statement is not the end of its session', () => {
  for (const code of ['57P01', '08006', '25006']) expect(endsSession({ code })).toBe(true)
  for (const code of ['42703', '57014', '40001', 'ECONNRESET']) expect(endsSession({ code })).toBe(false)
})
