/** A service stopped by real signals, under load, with real servers: what it had accepted is done, and it ends as it should. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { buildProgram, type Database, eventually, startPostgres, startRedis } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { assertGraceful, type GracefulOptions, type GracefulReport } from './index.js'
import { SCHEMA } from './schema.fixture.js'

const service = await buildProgram(new URL('service.fixture.ts', import.meta.url))
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const LISTENING = /listening on (\d+)/

// A process starts in two seconds, or in thirty where the machine is busy with others.
vi.setConfig({ testTimeout: 180_000 })

let database: Database
let redis: Redis
let count = 0

beforeAll(async () => {
  database = await testPostgres().createDatabase()
  await database.query(SCHEMA)
  redis = new Redis(testRedis().url)
  await redis.ping()
})
beforeEach(async () => {
  await database.query('truncate transfers, audit, processed, jobs')
})
afterAll(async () => {
  await redis.quit()
  await database.drop()
})

/** A name for one service's connections and keys. */
const newLabel = (): string => `graceful-${process.pid}-${++count}`

function start(env: Record<string, string> = {}, wrap: readonly string[] = [], ipc = false): ChildProcess {
  const command = [...wrap, process.execPath, ...service.args]
  return spawn(command[0] as string, command.slice(1), {
    stdio: ipc ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DATABASE_URL: database.url, REDIS_URL: testRedis().url, LABEL: newLabel(), ...env },
  })
}

/** Asks the service, and fails unless it answers 200. */
async function ask(match: RegExpExecArray | undefined, path: string): Promise<void> {
  const headers = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` }
  const response = await fetch(`http://127.0.0.1:${match?.[1]}${path}`, { headers })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`)
}

const stopped = (options: Partial<GracefulOptions>, env: Record<string, string> = {}): Promise<GracefulReport> =>
  assertGraceful(() => start(env), { ready: LISTENING, startTimeout: '2m', loadFor: 0, ...options })

interface Line {
  readonly message: string
  readonly event?: string
  readonly component?: string
  readonly phase?: string
  readonly duration_ms?: number
}
const linesOf = ({ output }: GracefulReport): Line[] =>
  output
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line))
const backends = async (label: string): Promise<number> => {
  const sql = 'select count(*)::int as n from pg_stat_activity where application_name = $1'
  return (await database.query<{ n: number }>(sql, [label]))[0]?.n ?? 0
}
const numbers = async (sql: string): Promise<string[]> => (await database.query<{ n: string }>(sql)).map(row => row.n)

describe('SIGTERM under load', () => {
  it('loses no request, no transaction, no message and no job, and ends with 0', async () => {
    const acknowledged: number[] = []
    const total = 60
    const label = newLabel()
    for (let n = 0; n < total; n++) {
      await redis.xadd(`${label}:events`, '*', 'n', String(n))
      await database.query('insert into jobs (payload) values ($1)', [String(n)])
    }
    const report = await stopped(
      {
        loadFor: 400,
        load: async ({ n, match }) => {
          await ask(match, `/transfer?id=${n}`)
          acknowledged.push(n)
        },
      },
      { LABEL: label },
    )
    const lines = linesOf(report)
    expect(lines.map(line => line.message)).toContain('draining')
    expect(lines.at(-1)?.message).toBe('stopped')

    // Every answer has its row, no row is half of a transfer, nobody is in the middle of one.
    const rows = await numbers('select id::text as n from transfers order by id')
    expect(rows).toEqual([...acknowledged].sort((a, b) => a - b).map(String))
    expect(await numbers('select sum(balance)::text as n from accounts')).toEqual(['1000'])
    expect(await backends(label)).toBe(0)

    // Offsets: what was processed is acknowledged, nothing is pending, what is left is still there for another.
    const processed = await numbers(`select what as n from processed where source = 'stream'`)
    expect(new Set(processed).size).toBe(processed.length)
    const [group] = (await redis.xinfo('GROUPS', `${label}:events`)) as unknown[][]
    const info = Object.fromEntries(
      Array.from({ length: (group?.length ?? 0) / 2 }, (_, i) => [group?.[i * 2], group?.[i * 2 + 1]]),
    )
    expect(info).toMatchObject({ pending: 0, 'entries-read': processed.length })
    const done = await numbers(`select what as n from processed where source = 'queue'`)
    const left = await numbers('select payload as n from jobs')
    expect([...done, ...left].sort((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: total }, (_, n) => `${n}`),
    )
    expect(processed.length).toBeGreaterThan(0)
    expect(done.length).toBeGreaterThan(0)

    // In the order of the phases.
    const steps = lines.filter(line => line.event === 'lifecycle.step').map(line => `${line.component} ${line.phase}`)
    const order = ['http drain', 'events pause', 'events finish', 'events commit', 'events disconnect', 'http stop']
    expect(steps.filter(step => order.includes(step))).toEqual(order)
    expect(steps.slice(-3)).toEqual(['cache stop', 'redis stop', 'postgres stop'])
    await redis.del(`${label}:events`)
  })

  it('answers a request that asks for its connection when the stop has begun, and sees the end of detached work', async () => {
    const report = await stopped({
      concurrency: 3,
      loadFor: 200,
      load: ({ n, match }) => ask(match, n % 2 === 0 ? '/late' : '/track'),
    })
    expect(report.loads.failed).toBe(0)
    const rows = await numbers('select count(*)::text as n from audit')
    expect(Number(rows[0])).toBeGreaterThan(0)
    expect(report.output).not.toContain('DRAINING')
  })

  it('serves on while traffic is routed elsewhere: live, not ready, and closing connections behind its answers', async () => {
    const seen: string[] = []
    await stopped(
      {
        concurrency: 1,
        keepLoading: true,
        load: async ({ match }) => {
          const of = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${match?.[1]}${path}`)
          const ready = await of('/ready').catch(() => undefined)
          if (ready?.status !== 503 || seen.length > 0) return
          const [live, work] = await Promise.all([of('/live'), of('/')])
          seen.push(`${live.status} ${work.status} ${work.headers.get('connection')}`)
        },
      },
      { MODE: 'delay' },
    )
    expect(seen).toEqual(['200 200 close'])
  })
})

describe.concurrent('the exit', () => {
  it('comes for SIGHUP, although a forgotten timer would keep the process for ever', async () => {
    const { elapsedMs } = await stopped({ signal: 'SIGHUP' }, { MODE: 'timer' })
    expect(elapsedMs).toBeLessThan(15_000)
  })

  it('comes at the word of a parent that cannot send signals', async () => {
    await assertGraceful(() => start({}, [], true), {
      ready: LISTENING,
      startTimeout: '2m',
      loadFor: 0,
      signal: 'shutdown',
    })
  })

  it('loses no log line, of 4 MB through a pipe', async () => {
    const report = await stopped({ signal: 'SIGINT' }, { MODE: 'chatty' })
    expect(report.output.match(/^x{1023}$/gm)).toHaveLength(4_096)
    expect(linesOf(report).at(-1)?.message).toBe('stopped')
  })

  it('is 0 for a start that a signal called off, and what had started is stopped', async () => {
    const label = newLabel()
    const report = await stopped({ ready: /starting/, loadFor: 500 }, { LABEL: label, MODE: 'slow start' })
    expect(report.output).not.toContain('listening')
    expect(report.output).not.toContain('INIT_CANCELLED')
    expect(await backends(label)).toBe(0)
  })

  it('is 1 for a start that fails', async () => {
    const label = newLabel()
    const child = start({ LABEL: label, MODE: 'failing start' })
    await new Promise(resolve => child.stdout?.resume() && child.stderr?.resume() && child.once('close', resolve))
    expect(child.exitCode).toBe(1)
    expect(await backends(label)).toBe(0)
  })

  it('is forced by a second signal, and what was not over is told on stderr where nothing is logged', async () => {
    const report = await stopped({ exitCode: 1, deadline: '15s', secondAfter: 500 }, { MODE: 'hangs,silent' })
    expect(report.output).toMatch(/dispose incomplete after \d+ ms: deaf \(drain/)
  })

  it('is 1 for a crash while it drains, and the stop goes on to its end', async () => {
    const label = newLabel()
    const report = await stopped({ exitCode: 1 }, { LABEL: label, MODE: 'crash while draining' })
    const messages = linesOf(report).map(line => line.message)
    expect(messages).toContain('uncaughtException: stopping already')
    expect(messages.at(-1)).toBe('stopped')
    expect(await backends(label)).toBe(0)
  })

  it('is 1 for a crash, and what was under way ends first', async () => {
    const child = start()
    const answers: string[] = []
    const ended = new Promise(resolve => child.once('close', resolve))
    let output = ''
    child.stdout?.on('data', text => {
      output += text
    })
    await eventually(() => LISTENING.test(output), 120_000)
    const match = LISTENING.exec(output) as RegExpExecArray
    const slow = ask(match, '/late').then(() => answers.push('late'))
    await ask(match, '/crash')
    await Promise.all([slow, ended])
    expect(answers).toEqual(['late'])
    expect(child.exitCode).toBe(1)
    expect(output).toContain('unhandledRejection: stopping')
  })
})

describe('by force', () => {
  it('ends a stop that is stuck in time, with 1, and tells what was waited for', async () => {
    const report = await stopped({ exitCode: 1, deadline: '15s' }, { MODE: 'hangs', DEADLINE: '2s' })
    const forced = linesOf(report).find(line => line.event === 'lifecycle.forced')
    expect(forced).toMatchObject({ left: { running: ['deaf (drain)'] } })
    const over = linesOf(report).find(line => line.event === 'lifecycle.stopped')
    expect(over?.duration_ms).toBeLessThan(3_000)
  })

  it('ends what runs in the database, and tells of each by name', async () => {
    const label = newLabel()
    const report = await stopped(
      {
        exitCode: 1,
        loadFor: 500,
        concurrency: 3,
        load: async ({ n, match }) => {
          const path = ['/sleep?s=60', '/never', '/leak'][n % 3] as string
          await ask(match, path).catch(() => {})
        },
      },
      { LABEL: label, DEADLINE: '2s' },
    )
    expect(await backends(label)).toBe(0)
    const forced = linesOf(report).find(line => line.event === 'lifecycle.forced')
    const work = expect.arrayContaining(
      ['/sleep', '/never', '/leak'].map(path => expect.objectContaining({ name: `GET ${path}` })),
    )
    const queries = [expect.objectContaining({ summary: 'SELECT', work: 'GET /sleep', traceId: TRACE })]
    const leak = expect.objectContaining({ acquiredAt: expect.stringContaining('service.fixture.ts') })
    const clients = expect.arrayContaining([leak])
    expect(forced).toMatchObject({
      left: { work, workCount: 3, components: { postgres: { queries, clients, pending: 0 } } },
    })
  })
})

describe.concurrent('with its servers gone', () => {
  it('stops when there has been no Redis from the start', async () => {
    const report = await stopped({}, { REDIS_URL: 'redis://127.0.0.1:1' })
    expect(linesOf(report).map(line => line.message)).toContain('ready, but degraded')
  })

  it('stops when Redis has gone', async () => {
    await using server = await startRedis({ own: true })
    const label = newLabel()
    const report = await stopped({ signal: goneBefore(() => server.kill()) }, { LABEL: label, REDIS_URL: server.url })
    expect(await backends(label)).toBe(0)
    expect(linesOf(report).at(-1)?.message).toBe('stopped')
  })

  it('stops in time when Redis hangs', async () => {
    await using server = await startRedis({ own: true })
    const label = newLabel()
    const env = { LABEL: label, REDIS_URL: server.url, DEADLINE: '4s' }
    await stopped({ exitCode: 1, deadline: '15s', signal: goneBefore(() => server.hang()) }, env)
    expect(await backends(label)).toBe(0)
    server.resume()
  })

  it('stops when Postgres has gone', async () => {
    await using server = await startPostgres({ own: true })
    const report = await stopped({ signal: goneBefore(() => server.kill()) }, { DATABASE_URL: server.url })
    expect(linesOf(report).at(-1)?.message).toBe('stopped')
  })
})

/** Takes something away, and tells the service to stop when it is gone. */
function goneBefore(take: () => unknown): (child: ChildProcess) => void {
  return child => {
    void Promise.resolve(take()).then(() => child.kill('SIGTERM'))
  }
}

const UNSHARE = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']
const mayUnshare = spawnSync(UNSHARE[0] as string, [...UNSHARE.slice(1), 'true']).status === 0

it.skipIf(!mayUnshare)(
  `stops as process 1 of a namespace${mayUnshare ? '' : ' (not allowed here: unshare --pid)'}`,
  async () => {
    // To process 1 the kernel hands no signal that it does not handle. unshare(1) hands none on: its child is told itself.
    const tell = ({ pid }: ChildProcess): void => {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      process.kill(Number.parseInt(children, 10), 'SIGTERM')
    }
    await assertGraceful(() => start({}, UNSHARE), { ready: LISTENING, startTimeout: '2m', loadFor: 0, signal: tell })
  },
)
