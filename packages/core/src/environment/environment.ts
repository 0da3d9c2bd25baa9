/** The check of the environment as a component of the start, and what it learns. */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { BreakwaterError, type Clock, Deadline, type Logger, type StepContext } from '@breakwater/kernel'
import type { Pool } from '@breakwater/pool'
import type { BuiltInComponent } from '../lifecycle/component.js'
import { reasonOf } from '../lifecycle/failure.js'
import { type AnyRedis, whenReady } from '../redis-client.js'
import { type Facts, type Finding, judge } from './checks.js'
import { type Ask, nodeFacts, postgresFacts, type RedisFacts, redisFacts, supervisorOf } from './facts.js'

export interface EnvironmentOptions {
  /** Instances of the service that run at once. Default 1. */
  readonly instances?: number
  /** How long a stop may take, in ms, held against whoever kills the process. Default: as `handleSignals` has it, or 25,000. */
  readonly deadlineMs?: number
  /** A file that `breakwater doctor --write-lock` has written: other versions are told as a warning. */
  readonly lockFile?: string
  /** Fails the start for warnings, too. Default false. */
  readonly strict?: boolean
}

/** How long a server that does not answer may hold up the check: the components of that server tell of it better. */
const ASK_MS = 2_000
/** A start should not take notice of it: two queries, and one INFO beside them. */
const ROUNDS = 1

/** What is looked at, and who is told. */
export interface Surroundings {
  readonly pool: Pool
  readonly redis: AnyRedis | undefined
  readonly clock: Clock
  readonly logger: Logger | undefined
  /** How long a stop takes at most, as far as that is known. */
  stopMs(): number
  found(findings: readonly Finding[]): void
}

/** @param options undefined: what it finds is told, and never ends a start. */
export function environmentComponent(options: EnvironmentOptions | undefined, around: Surroundings): BuiltInComponent {
  const { instances = 1, lockFile, strict = false } = options ?? {}
  const { pool, redis, logger } = around
  return {
    name: 'environment',
    // It uses their connections, beside the cache, which takes longer.
    dependsOn: ['postgres', ...(redis ? ['redis'] : [])],
    startTimeout: '5s',
    start: async context => {
      const facts = await context.step('ask', () => gather(around, context))
      const lock = lockFile === undefined ? undefined : await readLock(lockFile)
      const deadlineMs = options?.deadlineMs ?? around.stopMs()
      const { max: poolMax } = pool.options
      const isFleet = pool.stats().fleet !== undefined
      const findings = judge(facts, { instances, poolMax, isFleet, deadlineMs, lock })
      around.found(findings)
      tell(findings, logger)
      if (options === undefined) return
      const bad = findings.filter(({ level }) => level === 'failure' || (strict && level === 'warning'))
      if (bad.length > 0) {
        const message = `the environment does not fit: ${bad.map(each => each.message).join('; ')}`
        throw new BreakwaterError('usage', 'ENVIRONMENT_UNFIT', message)
      }
    },
  }
}

async function gather({ pool, redis, clock }: Surroundings, { signal }: StepContext): Promise<Facts> {
  const patience = new AbortController()
  const timer = clock.schedule(ASK_MS, () =>
    patience.abort(new DOMException(`no answer in ${ASK_MS} ms`, 'TimeoutError')),
  )
  const bounded = AbortSignal.any([signal, patience.signal])
  const [node, postgres, redisFound] = await Promise.all([
    nodeFacts(),
    asked(() => postgresFacts(asker(pool, bounded), clock, ROUNDS)),
    // One that is not there yet is not waited for a second time.
    redis === undefined ? undefined : redis.status === 'ready' ? askRedis(redis, clock, bounded) : 'not connected',
  ])
  timer.cancel()
  return { node, postgres, redis: redisFound, supervisor: supervisorOf(process.env, existsSync('/.dockerenv')) }
}

/** Returns what runs a query of the check. */
export function asker(pool: Pool, signal: AbortSignal): Ask {
  return async text => (await pool.query({ text, signal })).rows
}

/** Resolves with what was learned, or with why nothing was; not later than the signal, whatever the client waits for. */
export function askRedis(redis: AnyRedis, clock: Clock, signal: AbortSignal): Promise<RedisFacts | string> {
  const unbounded = new Deadline(clock, Number.POSITIVE_INFINITY)
  return asked(async () => {
    await whenReady(redis, signal)
    return redisFacts(() => unbounded.race(redis.info(), () => undefined, signal), clock)
  })
}

/** Resolves with what was learned, or with why nothing was. */
export async function asked<T>(learn: () => Promise<T>): Promise<T | string> {
  try {
    return await learn()
  } catch (error) {
    return reasonOf(error)
  }
}

/** @throws {BreakwaterError} kind `usage`, code `LOCK_INVALID`. */
export async function readLock(path: string): Promise<Record<string, string>> {
  try {
    const lock: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (typeof lock === 'object' && lock !== null) return lock as Record<string, string>
  } catch (cause) {
    throw new BreakwaterError('usage', 'LOCK_INVALID', `no lock file can be read from ${path}`, { cause })
  }
  throw new BreakwaterError('usage', 'LOCK_INVALID', `${path} holds no object of versions`)
}

function tell(findings: readonly Finding[], logger: Logger | undefined): void {
  for (const { check, level, message } of findings) {
    const fields = { event: 'environment.finding', check, finding: level }
    // Whose server it is says better why it cannot be asked.
    if (level === 'unknown') logger?.info(fields, message)
    else if (level !== 'ok') logger?.warn(fields, message)
  }
}
