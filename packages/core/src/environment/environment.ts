/** The check of the environment as a component of the start, and what it learns. */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { BreakwaterError, type Logger, type StepContext } from '@breakwater/kernel'
import type { Pool } from '@breakwater/pool'
import type { BuiltInComponent } from '../lifecycle/component.js'
import { reasonOf } from '../lifecycle/failure.js'
import { type AnyRedis, whenReady } from '../redis-client.js'
import { type Facts, type Finding, judge } from './checks.js'
import { nodeFacts, type PostgresFacts, postgresFacts, type RedisFacts, redisFacts, supervisorOf } from './facts.js'

export interface EnvironmentOptions {
  /** Instances of the service that run at once. Default 1. */
  readonly instances?: number
  /** How long a stop may take, in ms, held against whoever kills the process. Default 25,000, as `dispose` has it. */
  readonly deadlineMs?: number
  /** A file that `breakwater doctor --write-lock` has written: other versions are told as a warning. */
  readonly lockFile?: string
  /** Fails the start for warnings, too. Default false. */
  readonly strict?: boolean
}

/** How long a server that does not answer may hold up the check: the components of that server tell of it better. */
const ASK_MS = 2_000

export function environmentComponent(
  pool: Pool,
  redis: AnyRedis | undefined,
  options: EnvironmentOptions,
  logger: Logger | undefined,
  found: (findings: readonly Finding[]) => void,
): BuiltInComponent {
  const { instances = 1, deadlineMs = 25_000, lockFile, strict = false } = options
  return {
    name: 'environment',
    // Beside postgres and redis, so that it takes no time of the start.
    dependsOn: [],
    startTimeout: '5s',
    start: async context => {
      const facts = await context.step('ask', () => gather(pool, redis, context))
      const lock = lockFile === undefined ? undefined : await readLock(lockFile)
      const findings = judge(facts, { instances, poolMax: pool.options.max, deadlineMs, lock })
      found(findings)
      tell(findings, logger)
      const bad = findings.filter(({ level }) => level === 'failure' || (strict && level === 'warning'))
      if (bad.length > 0) {
        const message = `the environment does not fit: ${bad.map(each => each.message).join('; ')}`
        throw new BreakwaterError('usage', 'ENVIRONMENT_UNFIT', message)
      }
    },
  }
}

async function gather(pool: Pool, redis: AnyRedis | undefined, { signal }: StepContext): Promise<Facts> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)])
  const [node, postgres, redisFound] = await Promise.all([
    nodeFacts(),
    askPostgres(pool, bounded),
    redis === undefined ? undefined : askRedis(redis, bounded),
  ])
  return { node, postgres, redis: redisFound, supervisor: supervisorOf(process.env, existsSync('/.dockerenv')) }
}

/** Resolves with what was learned, or with why nothing was. */
export async function askPostgres(pool: Pool, signal: AbortSignal): Promise<PostgresFacts | string> {
  try {
    return await postgresFacts(async text => (await pool.query({ text, signal })).rows)
  } catch (error) {
    return reasonOf(error)
  }
}

/** Resolves with what was learned, or with why nothing was. */
export async function askRedis(redis: AnyRedis, signal: AbortSignal): Promise<RedisFacts | string> {
  try {
    await whenReady(redis, signal)
    return await redisFacts(() => redis.info())
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
    if (level !== 'ok') logger?.warn({ event: 'environment.finding', check, finding: level }, message)
  }
}
