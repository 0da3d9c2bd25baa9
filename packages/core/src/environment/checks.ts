/** Judges what was learned of the surroundings. Pure: facts in, findings out. */

import coerce from 'semver/functions/coerce.js'
import lt from 'semver/functions/lt.js'
import satisfies from 'semver/functions/satisfies.js'
import type { NodeFacts, PostgresFacts, RedisFacts, Supervisor } from './facts.js'

export interface Finding {
  readonly check: 'node' | 'postgres' | 'connections' | 'clock' | 'tls' | 'redis' | 'eviction' | 'deadline' | 'lock'
  /** `unknown`: it could not be found out. */
  readonly level: 'ok' | 'warning' | 'failure' | 'unknown'
  readonly message: string
}

export interface Facts {
  readonly node: NodeFacts
  /** Or why it could not be asked, in a word. */
  readonly postgres: PostgresFacts | string
  /** Undefined: there is to be none. */
  readonly redis: RedisFacts | string | undefined
  readonly supervisor: Supervisor | undefined
}

export interface Expectations {
  /** Instances of the service that run at once; while one deploy replaces another there may be more. */
  readonly instances: number
  /** Connections that each may open. */
  readonly poolMax: number
  /** Whether they see to it by themselves that the server has enough. */
  readonly isFleet?: boolean
  /** How long the stop may take. */
  readonly deadlineMs: number
  /** Versions that were there when the lock was written, by `node`, `postgres`, `redis`. */
  readonly lock?: Readonly<Record<string, string>> | undefined
}

/** What the scripts and queries of this package need. */
const LEAST = { postgres: '12.0.0', redis: '6.2.0' }
/** Beyond it, times of the database's rows and of this process cannot be compared. */
const MOST_SKEW_MS = 1_000

export function judge(facts: Facts, expected: Expectations): Finding[] {
  const { node, postgres, redis, supervisor } = facts
  return [
    judgeNode(node),
    ...(typeof postgres === 'string' ? [unknown('postgres', postgres)] : judgePostgres(postgres, expected)),
    ...(redis === undefined ? [] : typeof redis === 'string' ? [unknown('redis', redis)] : judgeRedis(redis)),
    ...(supervisor ? [judgeDeadline(supervisor, expected.deadlineMs)] : []),
    ...judgeLock(facts, expected.lock),
  ]
}

/** How much connections the server has for this service, whoever else holds some. */
export function usableConnections({ maxConnections, reserved, ownLimit }: PostgresFacts): number {
  return Math.min(maxConnections - reserved, ownLimit ?? Number.POSITIVE_INFINITY)
}

function judgeNode({ version, engines }: NodeFacts): Finding {
  if (engines === undefined) return { check: 'node', level: 'ok', message: `Node ${version}` }
  const fits = satisfies(version, engines)
  const message = `Node ${version}, engines ask for ${engines}`
  return { check: 'node', level: fits ? 'ok' : 'failure', message }
}

function judgePostgres(facts: PostgresFacts, { instances, poolMax, isFleet = false }: Expectations): Finding[] {
  const usable = usableConnections(facts)
  const wanted = instances * poolMax
  const skewMs = Math.round(facts.clockSkewMs)
  const isSkewed = Math.abs(skewMs) > MOST_SKEW_MS + facts.roundTripMs
  const connections = `${instances} x ${poolMax} = ${wanted} connections of ${usable} (max_connections ${facts.maxConnections}, ${facts.reserved} reserved${facts.ownLimit === undefined ? '' : `, limit ${facts.ownLimit}`})`
  const level = isFleet || wanted <= usable ? 'ok' : poolMax > usable ? 'failure' : 'warning'
  const isOpen = !facts.encrypted && !facts.local
  return [
    atLeast('postgres', 'Postgres', facts.version, LEAST.postgres),
    { check: 'connections', level, message: isFleet ? `a fleet shares ${usable} connections` : connections },
    { check: 'clock', level: isSkewed ? 'warning' : 'ok', message: `Postgres's clock is ${skewMs} ms from ours` },
    {
      check: 'tls',
      level: isOpen ? 'warning' : 'ok',
      message: facts.encrypted ? 'Postgres is reached over TLS' : `no TLS to Postgres${isOpen ? '' : ', on this host'}`,
    },
  ]
}

function judgeRedis({ version, maxMemory, evictionPolicy }: RedisFacts): Finding[] {
  const evictsAll = evictionPolicy.startsWith('allkeys-')
  const fillsUp = maxMemory > 0 && evictionPolicy === 'noeviction'
  const why = evictsAll
    ? ' may evict guards and the invalidation log: use volatile-lru or volatile-lfu'
    : fillsUp
      ? ' refuses writes once maxmemory is full: use volatile-lru or volatile-lfu'
      : ''
  return [
    atLeast('redis', 'Redis', version, LEAST.redis),
    { check: 'eviction', level: why === '' ? 'ok' : 'warning', message: `maxmemory-policy ${evictionPolicy}${why}` },
  ]
}

function judgeDeadline({ name, killMs }: Supervisor, deadlineMs: number): Finding {
  const message = `a stop may take ${deadlineMs} ms, ${name} kills after ${killMs} ms unless told otherwise`
  return { check: 'deadline', level: deadlineMs < killMs ? 'ok' : 'warning', message }
}

function judgeLock({ node, postgres, redis }: Facts, lock: Expectations['lock']): Finding[] {
  if (lock === undefined) return []
  const versions = versionsOf({ node, postgres, redis })
  const changed = Object.keys({ ...lock, ...versions }).filter(name => lock[name] !== versions[name])
  if (changed.length === 0) return [{ check: 'lock', level: 'ok', message: 'as locked' }]
  const diff = changed.map(name => `${name} ${lock[name] ?? '(none)'} -> ${versions[name] ?? '(unknown)'}`)
  return [{ check: 'lock', level: 'warning', message: diff.join(', ') }]
}

/** What a lock file holds. */
export function versionsOf({ node, postgres, redis }: Omit<Facts, 'supervisor'>): Record<string, string> {
  return {
    node: node.version,
    ...(typeof postgres === 'object' && { postgres: postgres.version }),
    ...(typeof redis === 'object' && { redis: redis.version }),
  }
}

function atLeast(check: 'postgres' | 'redis', name: string, version: string, least: string): Finding {
  const known = coerce(version)
  if (known === null) return unknown(check, 'no version')
  const isOld = lt(known, least)
  const message = `${name} ${version}${isOld ? `, ${least.replace(/(\.0)+$/, '')} or later is needed` : ''}`
  return { check, level: isOld ? 'failure' : 'ok', message }
}

function unknown(check: 'postgres' | 'redis', why: string): Finding {
  return { check, level: 'unknown', message: `${check === 'redis' ? 'Redis' : 'Postgres'} could not be asked: ${why}` }
}
