/** Eight real processes on a server with twenty connections: under load, when demand shifts, when one is killed or replaced. */

import { setTimeout as sleep } from 'node:timers/promises'
import { startPostgres } from '@breakwater/testkit'
import pg from 'pg'
import type { PoolRun } from '../pool/pool-run.js'
import { sourceProgram } from '../process/program.js'
import { RemoteProcess } from '../process/remote-process.js'
import { describeError } from '../report/describe-error.js'
import type { FleetCalls, InstanceCounts } from './protocol.js'
import type { FleetContenderName, FleetResults, FleetRound } from './results.js'
import { fleetTargets } from './targets.js'

const PROGRAM = new URL('./instance-process.ts', import.meta.url)
const CONTENDERS: readonly FleetContenderName[] = ['pg-pool', 'breakwater']
const MAX_CONNECTIONS = 20
/** For the role of the fleet: less three for superusers, and the one that looks on. */
const LIMIT = MAX_CONNECTIONS - 3 - 1
/** Less two that are kept free. */
const SHARED = LIMIT - 2
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
    return { rounds, targets: fleetTargets(rounds) }
  } catch (error) {
    run.signal.throwIfAborted()
    return { rounds, targets: fleetTargets(rounds), failure: describeError(error) }
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
  const changes = contender === 'breakwater' ? await change(run, fleet) : {}
  return {
    contender,
    instances: INSTANCES,
    maxConnections: MAX_CONNECTIONS,
    ...NOT_TRIED,
    ...even,
    ...changes,
    backends: observer.most,
    limit: LIMIT,
  }
}

type Rolling = Pick<FleetRound, 'replaced' | 'rollingRefused' | 'rollingErrors'>
type Changes = Rolling & Pick<FleetRound, 'shiftMs' | 'takeoverMs' | 'refused' | 'errors'>

const NOT_TRIED = { shiftMs: null, takeoverMs: null, replaced: null, rollingRefused: null, rollingErrors: null }

async function change(run: PoolRun, fleet: RealFleet): Promise<Changes> {
  run.onStep('fleet: demand shifts: to two of them, to two others, to all')
  const shiftMs = [await shift(fleet, [0, 1]), await shift(fleet, [6, 7]), await shift(fleet, EVERYONE)].reduce(
    later,
    0,
  )
  run.onStep('fleet: one of them is killed')
  const [victim] = (await fleet.counts()) as [InstanceCounts]
  await fleet.kill(0)
  const takeoverMs = await fleet.until(isWhole)
  await fleet.join()
  await fleet.until(isEven)
  const counts = [victim, ...(await fleet.counts())]
  const byThen = { refused: sum(counts, each => each.refused), errors: sum(counts, each => each.errors) }
  run.onStep('fleet: each is replaced by another')
  return { shiftMs, takeoverMs, ...byThen, ...(await replaceAll(fleet)) }
}

const EVERYONE = Array.from({ length: INSTANCES }, (_, at) => at)

/** Has some want all that there is, and the others nothing. Resolves to the ms until each of them has what is fair. */
async function shift(fleet: RealFleet, wanting: readonly number[]): Promise<number | null> {
  const callers = wanting.length === INSTANCES ? CALLERS : SHARED
  // The others keep one each.
  const fair = Math.floor((SHARED - (INSTANCES - wanting.length)) / wanting.length)
  await fleet.load(fleet.all.map((_, at) => (wanting.includes(at) ? callers : 0)))
  return fleet.until(counts => wanting.every(at => (counts[at]?.held ?? 0) >= fair) && isWhole(counts))
}

/** Nothing of the budget is unused. */
function isWhole(counts: readonly InstanceCounts[]): boolean {
  return sum(counts, each => each.held) === SHARED
}

function isEven(counts: readonly InstanceCounts[]): boolean {
  return isWhole(counts) && counts.every(({ held }) => held >= Math.floor(SHARED / INSTANCES))
}

/** As in a deploy: the next one comes, serves, and an old one is told to end. */
async function replaceAll(fleet: RealFleet): Promise<Rolling> {
  const old = [...fleet.all]
  const before = await fleet.counts()
  const ended: InstanceCounts[] = []
  for (const _ of old) {
    const next = await fleet.join()
    await fleet.until(counts => (counts[fleet.all.indexOf(next)]?.answered ?? 0) > 0)
    ended.push(await fleet.leave(0))
  }
  const all = [...ended, ...(await fleet.counts())]
  const since = (of: (each: InstanceCounts) => number): number => sum(all, of) - sum(before, of)
  const replaced = old.filter(each => !fleet.all.includes(each)).length
  return { replaced, rollingRefused: since(each => each.refused), rollingErrors: since(each => each.errors) }
}

/** null is never. */
function later(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : Math.max(one, other)
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
    const instance: Instance = new RemoteProcess<FleetCalls>(
      await sourceProgram(PROGRAM),
      `instance of ${this.#contender}`,
      this.#signal,
    )
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

  /** Adds one that has callers at once. */
  async join(): Promise<Instance> {
    const instance = await this.add()
    await instance.call('load', { callers: CALLERS })
    return instance
  }

  /** Has one serve those who have asked, and end; resolves to what it had counted by then. */
  async leave(at: number): Promise<InstanceCounts> {
    const [instance] = this.all.splice(at, 1) as [Instance]
    const counts = await instance.call('finish')
    await instance.end()
    return counts
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
