/** Eight real processes on a server with twenty connections: under load, when demand shifts, when one is killed or replaced. */

import { setTimeout as sleep } from 'node:timers/promises'
import { startPostgres } from '@breakwater/testkit'
import pg from 'pg'
import type { PoolRun } from '../pool/pool-run.js'
import { type Program, RemoteProcess } from '../process/remote-process.js'
import { describeError } from '../report/describe-error.js'
import type { FleetCalls, InstanceCounts } from './protocol.js'
import type { FleetContenderName, FleetResults, FleetRound } from './results.js'

const PROGRAM: Program = { file: new URL('./instance-process.ts', import.meta.url), packages: 'source' }
const CONTENDERS: readonly FleetContenderName[] = ['pg-pool', 'breakwater']
const MAX_CONNECTIONS = 20
/** Less three for superusers, two that are kept free, and the one that looks on. */
const SHARED = MAX_CONNECTIONS - 3 - 2 - 1
const INSTANCES = 8
const CALLERS = 10
const EVEN_MS = { quick: 4_000, full: 15_000 }
const SETTLE_MS = 3_000
const PATIENCE_MS = 5_000
const POLL_MS = 20

type Instance = RemoteProcess<FleetCalls>

/** Resolves to what was found. A failure on the way is part of the result, unless the signal was aborted. */
export async function runFleet(run: PoolRun): Promise<FleetResults> {
  const rounds: FleetRound[] = []
  try {
    for (const contender of CONTENDERS) rounds.push(await runContender(run, contender))
    return { rounds }
  } catch (error) {
    run.signal.throwIfAborted()
    return { rounds, failure: describeError(error) }
  }
}

async function runContender(run: PoolRun, contender: FleetContenderName): Promise<FleetRound> {
  run.onStep(`fleet: a server with ${MAX_CONNECTIONS} connections, ${contender}`)
  await using server = await startPostgres({ own: true, settings: { max_connections: String(MAX_CONNECTIONS) } })
  run.signal.throwIfAborted()
  await using observer = await Observer.open(server.url)
  await observer.query('create role app login')
  const url = server.url.replace('//postgres@', '//app@')
  await using fleet = new RealFleet(contender, url, run.signal)
  await Promise.all(Array.from({ length: INSTANCES }, () => fleet.add()))
  run.onStep(`fleet: ${INSTANCES} processes under an even load, ${contender}`)
  await fleet.load(fleet.all.map(() => CALLERS))
  await sleep(SETTLE_MS, undefined, { signal: run.signal })
  const before = await fleet.counts()
  const evenMs = EVEN_MS[run.full ? 'full' : 'quick']
  await sleep(evenMs, undefined, { signal: run.signal })
  const after = await fleet.counts()
  const answers = after.map((each, at) => each.answered - (before[at]?.answered ?? 0))
  const even = {
    refused: sum(after, each => each.refused),
    errors: sum(after, each => each.errors),
    answered: answers.reduce((total, each) => total + each, 0),
    fewest: Math.min(...answers),
    most: Math.max(...answers),
    looksASecond: ((sum(after, each => each.looks) - sum(before, each => each.looks)) * 1_000) / evenMs,
  }
  const changes = contender === 'breakwater' ? await change(run, fleet) : NO_CHANGES
  return {
    contender,
    instances: INSTANCES,
    maxConnections: MAX_CONNECTIONS,
    ...even,
    ...changes,
    backends: observer.most,
  }
}

type Changes = Pick<FleetRound, 'shiftMs' | 'takeoverMs' | 'rollingRefused' | 'rollingErrors'>

const NO_CHANGES: Changes = { shiftMs: null, takeoverMs: null, rollingRefused: null, rollingErrors: null }

async function change(run: PoolRun, fleet: RealFleet): Promise<Changes> {
  run.onStep('fleet: demand shifts to two of them')
  await fleet.load(fleet.all.map((_, at) => (at < 2 ? 20 : 0)))
  // The others have use for none, and keep one at most each.
  const fair = Math.floor((SHARED - (INSTANCES - 2)) / 2)
  const shiftMs = await fleet.until(counts => counts.slice(0, 2).every(each => each.connections >= fair))
  run.onStep('fleet: one of them is killed')
  await fleet.load(fleet.all.map(() => CALLERS))
  const isFull = (counts: readonly InstanceCounts[]): boolean => sum(counts, each => each.connections) === SHARED
  await fleet.until(isFull)
  await fleet.kill(0)
  const takeoverMs = await fleet.until(isFull)
  run.onStep('fleet: each is replaced by another')
  const { refused, errors } = await replaceAll(fleet)
  return { shiftMs, takeoverMs, rollingRefused: refused, rollingErrors: errors }
}

async function replaceAll(fleet: RealFleet): Promise<{ refused: number; errors: number }> {
  const total = { refused: 0, errors: 0 }
  for (let replaced = 0; replaced < INSTANCES - 1; replaced++) {
    const next = await fleet.add()
    await next.call('load', { callers: CALLERS })
    await fleet.until(counts => (counts.at(-1)?.answered ?? 0) > 0)
    const [old] = await fleet.counts()
    await fleet.remove(0)
    total.refused += old?.refused ?? 0
    total.errors += old?.errors ?? 0
  }
  const left = await fleet.counts()
  return {
    refused: total.refused + sum(left, each => each.refused),
    errors: total.errors + sum(left, each => each.errors),
  }
}

function sum(counts: readonly InstanceCounts[], of: (each: InstanceCounts) => number): number {
  return counts.reduce((total, each) => total + of(each), 0)
}

class RealFleet implements AsyncDisposable {
  readonly all: Instance[] = []
  readonly #pids = new Map<Instance, number>()
  readonly #contender: FleetContenderName
  readonly #url: string
  readonly #signal: AbortSignal

  constructor(contender: FleetContenderName, url: string, signal: AbortSignal) {
    this.#contender = contender
    this.#url = url
    this.#signal = signal
  }

  async add(): Promise<Instance> {
    const instance: Instance = new RemoteProcess<FleetCalls>(PROGRAM, `instance of ${this.#contender}`, this.#signal)
    this.all.push(instance)
    this.#pids.set(instance, await instance.call('open', { contender: this.#contender, postgresUrl: this.#url }))
    return instance
  }

  async load(callers: readonly number[]): Promise<void> {
    await Promise.all(this.all.map((each, at) => each.call('load', { callers: callers[at] ?? 0 })))
  }

  counts(): Promise<InstanceCounts[]> {
    return Promise.all(this.all.map(each => each.call('counts')))
  }

  /** Resolves to the ms until it holds; to null when that takes too long. */
  async until(holds: (counts: readonly InstanceCounts[]) => boolean): Promise<number | null> {
    const startedAt = performance.now()
    for (;;) {
      const isOver = holds(await this.counts())
      const ms = performance.now() - startedAt
      if (isOver) return ms
      if (ms > PATIENCE_MS) return null
      await sleep(POLL_MS, undefined, { signal: this.#signal })
    }
  }

  async kill(at: number): Promise<void> {
    const [instance] = this.all.splice(at, 1)
    const pid = instance && this.#pids.get(instance)
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    await instance?.end()
  }

  async remove(at: number): Promise<void> {
    const [instance] = this.all.splice(at, 1)
    await instance?.end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map(each => each.end()))
  }
}

/** Counts the fleet's backends, as often as the server answers. */
class Observer implements AsyncDisposable {
  readonly #client: pg.Client
  readonly #watching: Promise<void>
  #isOver = false
  most = 0

  private constructor(client: pg.Client) {
    this.#client = client
    this.#watching = this.#watch()
  }

  static async open(url: string): Promise<Observer> {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    return new Observer(client)
  }

  async query(text: string): Promise<void> {
    await this.#client.query(text)
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const { rows } = await this.#client.query<{ count: number }>(
        "select count(*)::int from pg_stat_activity where usename = 'app'",
      )
      this.most = Math.max(this.most, rows[0]?.count ?? 0)
      await sleep(POLL_MS)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#watching
    await this.#client.end()
  }
}
