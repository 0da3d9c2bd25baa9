/** The program that the bench forks for each contender: one pool, and the load on it in the same event loop. */

import { loadWorld } from '../../data/world.js'
import { answerCalls } from '../../process/answer-calls.js'
import type { Lender, OpenPool } from '../contenders/contender.js'
import { importContender } from '../contenders/index.js'
import type { PoolCalls } from '../protocol.js'
import { CityLoad } from './city-load.js'
import { failQueries, SlowQueries } from './faults.js'
import { measureLeases } from './lease-cost.js'

/** Long enough that no connection is free again before the last one is asked for. */
const HOLD = 'select pg_sleep(0.1)'

let pool: OpenPool | undefined
let lender: Lender | undefined
let load: CityLoad | undefined
let slow: SlowQueries | undefined

answerCalls<PoolCalls>({
  async open({ contender, postgresUrl, connections }) {
    const { open, lendDummies } = await importContender(contender)
    if (postgresUrl === undefined) {
      lender = lendDummies?.()
      return
    }
    const opened = open(postgresUrl, connections)
    pool = opened
    lender = opened.lender
    load = new CityLoad(opened, await loadWorld())
    await Promise.all(Array.from({ length: connections }, () => opened.query(HOLD)))
  },
  leases: order => measureLeases(given(lender), order),
  warmUp: order => given(load).warmUp(order),
  queries: order => given(load).queries(order),
  stream: order => given(load).stream(order),
  fail: order => failQueries(given(pool), order),
  async beginSlow(order) {
    slow = new SlowQueries(given(pool), order)
  },
  forceEnd: order => given(slow).forceEnd(order),
  async close() {
    await pool?.end()
  },
})

function given<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('this contender has nothing of the kind, or was not opened for it')
  return value
}
