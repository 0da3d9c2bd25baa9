/** That the faults are real and are seen: put through them is pg.Pool, whose failures are known. */

import { type Database, type PostgresServer, startPostgres } from '@breakwater/testkit'
import { allowLeftovers } from '@breakwater/testkit/vitest'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { citiesSnapshot, TEMPLATE } from '../data/template.js'
import { type Lane, Lanes } from './lanes.js'
import { observeForcedEnd, observeRestart, recovery } from './observe-faults.js'

const SLOW = { timeout: 60_000 }

describe('recovery', () => {
  const answer = (sentAt: number, answeredAt: number) => ({ sentAt, answeredAt })

  it('counts from the return of the server to the first answer, whichever query that is for', () => {
    expect(recovery([answer(130, 260), answer(120, 250)], 100, 200)).toBe(50)
  })

  it('does not take an answer of the old server for one of the new', () => {
    expect(recovery([answer(90, 101), answer(120, 250)], 100, 200)).toBe(50)
    expect(recovery([answer(90, 101)], 100, 200)).toBeNull()
  })

  it('is no less than nothing when the pool finds the server before the bench does', () => {
    expect(recovery([answer(120, 198)], 100, 200)).toBe(0)
  })
})

describe('a pool that is known to fail', SLOW, () => {
  let server: PostgresServer
  let database: Database
  beforeAll(async () => {
    server = await startPostgres({ own: true, snapshot: citiesSnapshot })
    database = await server.createDatabase({ template: TEMPLATE })
  })
  afterAll(() => server[Symbol.asyncDispose]())

  async function openLane(): Promise<Lane> {
    const lanes = await Lanes.open(['pg.Pool'], database.url, new AbortController().signal)
    onTestFinished(() => lanes[Symbol.asyncDispose]())
    const [lane] = lanes.all
    return lane as Lane
  }

  it('opens a connection for each query that is refused', async () => {
    const { instance } = await openLane()
    const outcome = await instance.call('fail', { queries: 40, callers: 4 })
    expect(outcome).toMatchObject({ refused: 40, connections: 40 })
  })

  it('leaves its backends and its callers behind when it is ended while queries run', async () => {
    const outcome = await observeForcedEnd(server, database, await openLane())
    expect(outcome).toEqual({ running: 3, settled: 0, ended: false, backends: 3 })
  })

  it('fails what is asked of it while the server is down, and answers once that is back', async () => {
    // The restarted server is another process than the one that was there before the test.
    allowLeftovers()
    const run = { full: false, seed: 1, signal: new AbortController().signal, onStep() {} }
    const { asked, errors, recoveredMs, errorMessages } = await observeRestart(run, server, await openLane())
    expect(asked).toBeGreaterThan(800)
    // At 200 queries a second, two seconds without a server.
    expect(errors).toBeGreaterThan(300)
    expect(errors).toBeLessThan(asked - 300)
    expect(Object.keys(errorMessages).join()).toMatch(/ECONNREFUSED/)
    expect(recoveredMs).toBeLessThan(1_000)
  })
})
