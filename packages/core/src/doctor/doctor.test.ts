/** The command as it is called: its table, its JSON, its exit codes, against real servers and none. */

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pool, sizePool } from '@breakwater/pool'
import { buildProgram, type Database, eventually, startRedis } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createDataAccess, type DataAccess, type DataAccessOptions } from '../data-access.js'
import { advise } from './advice.js'
import type { Diagnosis } from './doctor.js'

const main = await buildProgram(new URL('main.ts', import.meta.url))

let database: Database
beforeAll(async () => {
  database = await testPostgres().createDatabase()
})
afterAll(() => database.drop())

interface Run {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function doctor(...args: string[]): Promise<Run> {
  const env = { ...process.env, DATABASE_URL: database.url, REDIS_URL: testRedis().url }
  return new Promise(resolve => {
    execFile(process.execPath, [...main.args, 'doctor', ...args], { env, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })
}

describe('breakwater doctor', { timeout: 60_000 }, () => {
  it('prints a table with what it found, who holds connections, and how large the pool should be', async () => {
    await using holder = new Pool({ connectionString: database.url, application_name: 'holder', idleTimeoutMillis: 0 })
    await holder.query('select 1')
    const { code, stdout } = await doctor('--instances', '2', '--qps', '1000', '--hold', '10')
    expect({ code, stdout }).toMatchObject({ code: 0 })
    expect(stdout).toMatch(/^ok {4}node {9}Node \d+/m)
    expect(stdout).toMatch(/^ok {4}postgres {5}Postgres \d+/m)
    expect(stdout).toMatch(/max_connections \d+, \d+ reserved/)
    expect(stdout).toMatch(/held now: .*1 holder/)
    expect(stdout).toContain('5.00 connections in use on average')
    expect(stdout).toMatch(/Pool: max \d+ for each instance/)
    const { password, host } = new URL(database.url)
    expect(stdout).not.toContain(host)
    if (password !== '') expect(stdout).not.toContain(password)
  })

  it('gives the same as JSON, and fails when the fleet does not fit or a lock tells otherwise and it is strict', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'doctor-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const lock = join(folder, 'lock.json')
    const { code, stdout } = await doctor('--json', '--max', '100000', '--write-lock', lock)
    const { findings, facts } = JSON.parse(stdout) as Diagnosis
    expect(code).toBe(1)
    expect(findings.find(({ check }) => check === 'connections')).toMatchObject({ level: 'failure' })
    const locked = JSON.parse(await readFile(lock, 'utf8')) as Record<string, string>
    expect(locked).toMatchObject({ node: process.versions.node })
    expect(facts.postgres).toMatchObject({ version: locked.postgres, maxConnections: expect.any(Number) })
    await writeFile(lock, JSON.stringify({ ...locked, redis: '1.2.3' }))
    expect(await doctor('--lock', lock)).toMatchObject({ code: 0, stdout: expect.stringContaining('redis 1.2.3 -> ') })
    expect(await doctor('--lock', lock, '--strict')).toMatchObject({ code: 1 })
  })

  it('says so when a server cannot be asked, within its time, and what its arguments are', async () => {
    const dead = await doctor(
      '--postgres',
      'postgres://u:secret@127.0.0.1:1/x',
      '--redis',
      'redis://127.0.0.1:1',
      '--timeout',
      '1s',
    )
    expect(dead).toMatchObject({ code: 1, stderr: '' })
    expect(dead.stdout).toContain('Postgres could not be asked: ECONNREFUSED')
    expect(dead.stdout).toContain('Redis could not be asked')
    expect(dead.stdout).not.toContain('secret')
    const wrong = await doctor('--instances', '0')
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringMatching(/--instances must be.*breakwater doctor/s) })
  })
})

describe('the advice', () => {
  const facts = { maxConnections: 100, reserved: 3, ownLimit: undefined } as never

  it('is the size that the load needs, within the share of the server', () => {
    const roomy = advise(facts, { instances: 4, qps: 4_000, holdMs: 4 })
    expect(roomy).toEqual({ max: sizePool({ targetQps: 1_000, holdMs: 4 }).size, busy: 4, share: 19, isShort: false })
    expect(advise(facts, { instances: 24, qps: 4_800, holdMs: 50 })).toMatchObject({ max: 3, share: 3, isShort: true })
    expect(advise(facts, { instances: 200, qps: 1, holdMs: 1 })).toMatchObject({ max: 1, share: 0, isShort: true })
  })
})

describe('the component environment', () => {
  const lines: object[] = []
  const log = (fields: { event?: string }): void => {
    if (fields.event === 'environment.finding') lines.push(fields)
  }
  beforeEach(() => void lines.splice(0))

  function make(options: Partial<DataAccessOptions>): DataAccess {
    const data = createDataAccess({
      postgres: { connectionString: database.url, max: 50 },
      logger: { info: log, warn: log },
      ...options,
    })
    onTestFinished(() => data.dispose().catch(() => {}))
    return data
  }
  const finding = (check: string, finding: string): object => ({ event: 'environment.finding', check, finding })

  it('checks at the start, tells the logger and the metrics, and fails it when the fleet cannot fit', async () => {
    const data = make({ environment: { instances: 50 } })
    await data.init()
    expect(lines).toContainEqual(finding('connections', 'warning'))
    const warnings = data.metrics().find(({ labels }) => labels['breakwater.environment.level'] === 'warning')
    expect(warnings).toMatchObject({ name: 'breakwater.environment.findings', value: lines.length })
    const step = data.timeline().steps.find(({ name }) => name === 'environment')
    expect(step).toMatchObject({ outcome: 'ok', steps: [{ name: 'ask', outcome: 'ok' }] })
    const strict = make({ environment: { instances: 50, strict: true } })
    await expect(strict.init()).rejects.toMatchObject({
      cause: { code: 'ENVIRONMENT_UNFIT', message: expect.stringContaining('50 x 50 = 2500') },
    })
  })

  it('only tells what it finds unless it is asked for, in two queries', async () => {
    const postgres = { connectionString: database.url, max: 1_000 }
    const data = make({ postgres })
    await data.init()
    expect(lines).toContainEqual(finding('connections', 'failure'))
    const without = make({ postgres, environment: false })
    await without.init()
    expect(without.health.components).not.toHaveProperty('environment')
    expect(data.pool.stats().query.count - without.pool.stats().query.count).toBe(2)
    expect(data.pool.stats().created).toBe(1)
    await expect(make({ postgres, environment: {} }).init()).rejects.toMatchObject({
      cause: { code: 'ENVIRONMENT_UNFIT' },
    })
  })

  it('does not wait for a Redis that is not there', async () => {
    const redis = { url: 'redis://127.0.0.1:1' }
    const data = make({ redis, components: { redis: { startTimeout: 20 } } })
    await data.init()
    expect(lines).toContainEqual(finding('redis', 'unknown'))
    const step = data.timeline().steps.find(({ name }) => name === 'environment')
    // It would have been two seconds.
    expect(step?.durationMs).toBeLessThan(1_500)
  })

  it('ends no start for a Redis that hangs', async () => {
    await using server = await startRedis({ own: true })
    const redis = new Redis(server.url)
    onTestFinished(() => redis.disconnect())
    await redis.ping()
    server.hang()
    const data = make({ redis })
    const init = data.init()
    await eventually(() => expect(lines).toContainEqual(finding('redis', 'unknown')))
    server.resume()
    await init
  })

  it('holds the stop against who kills as long as handleSignals allows it', async () => {
    vi.stubEnv('pm_id', '0')
    onTestFinished(() => void vi.unstubAllEnvs())
    await make({}).handleSignals({ deadline: '1s', signals: [] }).init()
    expect(lines).not.toContainEqual(finding('deadline', 'warning'))
    await make({}).init()
    expect(lines).toContainEqual(finding('deadline', 'warning'))
  })
})
