/** The command as a user runs it, in a process of its own: bad input, interrupts, an instance that dies. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildProgram, eventually, startRedis } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { Redis } from 'ioredis'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..')

const main = await buildProgram(new URL('main.ts', import.meta.url))

/** Ms for a test in which servers and instances are started: half a minute, or several where the machine is busy with others. */
const SLOW = { timeout: 240_000 }

class Run {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  readonly #exited: Promise<unknown[]>

  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}, program: readonly string[] = main.args) {
    const { DATABASE_URL: _, REDIS_URL: __, ...inherited } = process.env
    this.child = spawn(process.execPath, [...program, ...args], {
      cwd: ROOT,
      env: { ...inherited, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child.stdout?.setEncoding('utf8').on('data', text => {
      this.stdout += text
    })
    this.child.stderr?.setEncoding('utf8').on('data', text => {
      this.stderr += text
    })
    this.#exited = once(this.child, 'close')
    onTestFinished(() => void this.child.kill('SIGKILL'))
  }

  async exit(): Promise<{ code: unknown; stdout: string; stderr: string }> {
    const [code] = await this.#exited
    return { code, stdout: this.stdout, stderr: this.stderr }
  }

  async seen(text: string): Promise<void> {
    await eventually(() => {
      expect(this.child.exitCode, this.stderr).toBeNull()
      return this.stderr.includes(text)
    }, 150_000)
  }

  /** Everything that descends from the run, the run included: pid and command. */
  processes(): Map<number, string> {
    const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' })
      .trim()
      .split('\n')
      .map(line => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [])
    const found = new Map([[this.child.pid ?? 0, 'bench']])
    for (const pid of found.keys()) {
      for (const [, own, parent, args = ''] of table) if (Number(parent) === pid) found.set(Number(own), args)
    }
    return found
  }
}

it("runs as it lies there, by the README's own command", SLOW, async () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { bench: string } }
  const [node, ...program] = scripts.bench.split(' ')
  expect(node).toBe('node')
  const { code, stdout } = await new Run(['--help'], {}, program).exit()
  expect(stdout).toMatch(/^Usage: bench/)
  expect(code).toBe(0)
})

describe('bad input gets one clear line and a non-zero exit code', SLOW, () => {
  it.each([
    ['an unknown scenario', ['storm'], /'storm' is invalid.*steady, penetration, breakdown/],
    ['an unknown option', ['--fast'], /unknown option '--fast'/],
    ['a seed that is no number', ['--seed', 'x'], /--seed.*'x' is invalid.*whole number/],
    ['a results file in a folder that is not there', ['--json', '/no/such/folder/x.json'], /--json.*ENOENT/],
    ['a results file that is a folder', ['--json', ROOT], /--json.*EISDIR/],
  ])('%s', async (_, args, message) => {
    const { code, stdout, stderr } = await new Run(args).exit()
    expect(stderr).toMatch(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(stdout).toBe('')
    expect(code).toBe(1)
  })

  it('a DATABASE_URL that leads nowhere', async () => {
    const { code, stderr } = await new Run([], { DATABASE_URL: 'postgres://me:secret@127.0.0.1:1/x' }).exit()
    expect(lastLine(stderr)).toMatch(/^bench: DATABASE_URL cannot connect to me@127\.0\.0\.1:1\/x: .*ECONNREFUSED/)
    expect(stderr).not.toContain('secret')
    expect(code).toBe(1)
  })

  it('a machine without Redis', async () => {
    const { code, stderr } = await new Run([], { DATABASE_URL: testPostgres().url, PATH: '' }).exit()
    expect(lastLine(stderr)).toMatch(/^bench: no Redis: .*REDIS_URL/)
    expect(code).toBe(1)
  })
})

describe('an interrupt', SLOW, () => {
  it('ends every process that was started, and says so by exit code 130', async () => {
    const run = new Run(['breakdown'])
    await run.seen('warming up')
    const processes = run.processes()
    const started = [...processes.values()]
    expect(started.filter(args => args.includes('instance-process'))).toHaveLength(4)
    expect(started.some(args => args.includes('redis-server'))).toBe(true)
    expect(started.some(args => args.includes('postgres'))).toBe(true)

    run.child.kill('SIGINT')
    const { code, stdout, stderr } = await run.exit()
    expect(lastLine(stderr)).toBe('bench: ended by SIGINT')
    expect(stdout).toBe('')
    expect(code).toBe(130)
    await eventually(() => expect([...processes.keys()].filter(isAlive).map(pid => processes.get(pid))).toEqual([]))
  })

  it('ends a comparison of pools, which needs no Redis', async () => {
    const run = new Run(['pool'], { DATABASE_URL: testPostgres().url, PATH: '' })
    await run.seen('connect and release, warming up')
    const processes = run.processes()
    expect([...processes.values()].filter(args => args.includes('pool/instance'))).toHaveLength(4)
    expect(await databasesOf(run)).toHaveLength(1)

    run.child.kill('SIGINT')
    expect(await run.exit()).toMatchObject({ code: 130, stdout: '' })
    await eventually(() => expect([...processes.keys()].filter(isAlive).map(pid => processes.get(pid))).toEqual([]))
    expect(await databasesOf(run)).toEqual([])
  })

  it("leaves no database and no key on somebody else's servers", async () => {
    await using redis = await startRedis({ own: true })
    const run = new Run(['breakdown'], { DATABASE_URL: testPostgres().url, REDIS_URL: redis.url })
    await run.seen('warming up')
    expect(await databasesOf(run)).toHaveLength(2)
    await eventually(async () => expect(await keysOn(redis.url)).not.toEqual([]))

    run.child.kill('SIGTERM')
    expect(await run.exit()).toMatchObject({ code: 143 })
    expect(await databasesOf(run)).toEqual([])
    expect(await keysOn(redis.url)).toEqual([])
  })
})

it('an instance that dies ends its scenario and fails the run', SLOW, async () => {
  const run = new Run(['breakdown'], { DATABASE_URL: testPostgres().url, REDIS_URL: testRedis().url })
  await run.seen('warming up')
  const [victim = 0] = [...run.processes()].find(([, args]) => args.includes('instance-process')) ?? []
  process.kill(victim, 'SIGKILL')
  const { code, stdout } = await run.exit()
  expect(stdout).toMatch(/breakdown: ended early: \w+, instance \d ended with SIGKILL/)
  expect(code).toBe(1)
})

function lastLine(text: string): string | undefined {
  return text.trim().split('\n').at(-1)
}

function isAlive(pid: number): boolean {
  try {
    // A zombie has ended, and waits for its parent only.
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('Z')
  } catch {
    return false
  }
}

/** The contenders' databases on the shared server: the test kit names them after the process that made them. */
async function databasesOf(run: Run): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: testPostgres().url })
  await client.connect()
  const { rows } = await client.query('select datname from pg_database where datname like $1', [
    `breakwater\\_${run.child.pid}\\_%`,
  ])
  await client.end()
  return rows
}

async function keysOn(redisUrl: string): Promise<string[]> {
  const redis = new Redis(redisUrl)
  const keys = await redis.keys('*')
  await redis.quit()
  return keys
}
