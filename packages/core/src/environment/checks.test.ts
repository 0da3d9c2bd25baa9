/** What is made of what was learned: each row with what passes, what warns and what fails. */

import { describe, expect, it } from 'vitest'
import { type Expectations, type Facts, type Finding, judge } from './checks.js'
import { type PostgresFacts, supervisorOf } from './facts.js'

const postgres: PostgresFacts = {
  version: '16.4',
  maxConnections: 100,
  reserved: 3,
  ownLimit: undefined,
  encrypted: false,
  local: true,
  clockSkewMs: 4,
  roundTripMs: 0.3,
}
const redis = { version: '7.2.4', maxMemory: 1_000, evictionPolicy: 'volatile-lfu', roundTripMs: 0.2 }
const good: Facts = { node: { version: '20.20.0', engines: '>=20.19' }, postgres, redis, supervisor: undefined }
const expected: Expectations = { instances: 8, poolMax: 10, deadlineMs: 25_000 }

function find(check: Finding['check'], facts: Partial<Facts>, others: Partial<Expectations> = {}): Finding | undefined {
  return judge({ ...good, ...facts }, { ...expected, ...others }).find(each => each.check === check)
}
const withPostgres = (facts: Partial<PostgresFacts>): Partial<Facts> => ({ postgres: { ...postgres, ...facts } })

describe('the check of the environment', () => {
  it('finds nothing wrong where nothing is', () => {
    const levels = new Set(judge(good, expected).map(({ level }) => level))
    expect(levels).toEqual(new Set(['ok']))
  })

  it.each<[Finding['check'], Finding['level'], Partial<Facts>, Partial<Expectations>, RegExp]>([
    ['node', 'failure', { node: { version: '18.0.0', engines: '^20.19 || >=22' } }, {}, /18\.0\.0.*\^20\.19/],
    ['node', 'ok', { node: { version: '23.1.0', engines: '^20.19 || >=22' } }, {}, /23/],
    ['node', 'ok', { node: { version: '18.0.0', engines: undefined } }, {}, /18/],
    ['postgres', 'failure', withPostgres({ version: '11.2' }), {}, /12 or later/],
    ['postgres', 'ok', withPostgres({ version: '17beta2' }), {}, /17beta2/],
    ['postgres', 'unknown', { postgres: 'ECONNREFUSED' }, {}, /ECONNREFUSED/],
    ['connections', 'warning', {}, { instances: 10 }, /10 x 10 = 100 connections of 97/],
    ['connections', 'failure', withPostgres({ ownLimit: 5 }), { instances: 1 }, /of 5 .*limit 5/],
    ['connections', 'ok', withPostgres({ ownLimit: 5 }), { isFleet: true }, /shares 5/],
    ['clock', 'warning', withPostgres({ clockSkewMs: -2_500 }), {}, /-2500 ms/],
    ['clock', 'ok', withPostgres({ clockSkewMs: 1_500, roundTripMs: 600 }), {}, /1500/],
    ['tls', 'warning', withPostgres({ local: false }), {}, /no TLS/],
    ['tls', 'ok', withPostgres({ local: false, encrypted: true }), {}, /over TLS/],
    ['redis', 'failure', { redis: { ...redis, version: '5.0.3' } }, {}, /6\.2 or later/],
    ['redis', 'unknown', { redis: 'ETIMEDOUT' }, {}, /Redis could not be asked/],
    ['eviction', 'warning', { redis: { ...redis, evictionPolicy: 'allkeys-lru' } }, {}, /guards/],
    ['eviction', 'warning', { redis: { ...redis, evictionPolicy: 'noeviction' } }, {}, /refuses writes/],
    ['eviction', 'ok', { redis: { ...redis, evictionPolicy: 'noeviction', maxMemory: 0 } }, {}, /noeviction/],
    ['deadline', 'warning', { supervisor: { name: 'pm2', killMs: 1_600 } }, {}, /pm2 kills after 1600/],
    ['deadline', 'ok', { supervisor: { name: 'Kubernetes', killMs: 30_000 } }, {}, /25000/],
    [
      'lock',
      'warning',
      {},
      { lock: { node: '20.19.0', postgres: '16.4', redis: '7.2.4' } },
      /^node 20\.19\.0 -> 20\.20\.0$/,
    ],
    ['lock', 'ok', {}, { lock: { node: '20.20.0', postgres: '16.4', redis: '7.2.4' } }, /as locked/],
  ])('%s: %s', (check, level, facts, others, message) => {
    expect(find(check, facts, others)).toMatchObject({ level, message: expect.stringMatching(message) })
  })

  it('knows who kills, and when', () => {
    expect(supervisorOf({ KUBERNETES_SERVICE_HOST: '10.0.0.1' }, true)).toEqual({ name: 'Kubernetes', killMs: 30_000 })
    expect(supervisorOf({ pm_id: '0' }, false)).toEqual({ name: 'pm2', killMs: 1_600 })
    expect(supervisorOf({ pm_id: '0', kill_timeout: '5000' }, false)).toEqual({ name: 'pm2', killMs: 5_000 })
    expect(supervisorOf({}, true)).toEqual({ name: 'docker stop', killMs: 10_000 })
    expect(supervisorOf({}, false)).toBeUndefined()
  })
})
