/** Replaces every instance of a service, several times over, under load through a balancer that tries nothing twice. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildProgram, type Database, type PostgresServer, type Program, startBalancer } from '@breakwater/testkit'
import { describeError } from '../report/describe-error.js'
import { type RollingContender, type RollingResult, type RollingResults, rollingContenders } from './results.js'

export interface RollingRun {
  readonly full: boolean
  readonly signal: AbortSignal
  onStep(step: string): void
}

const INSTANCES = 4
const RATE = 200
const ROUNDS = { quick: 3, full: 10 }
/** Ms between two instances, as a deployment leaves them. */
const PAUSE_MS = 200

/** Resolves to what was seen. A failure on the way is part of the result, unless the signal was aborted. */
export async function runRolling(run: RollingRun, postgres: PostgresServer): Promise<RollingResults> {
  const rounds = ROUNDS[run.full ? 'full' : 'quick']
  const results: RollingResult[] = []
  let failure: string | undefined
  try {
    const program = await buildProgram(new URL('instance.ts', import.meta.url))
    for (const contender of rollingContenders) {
      run.onStep(`rolling: ${contender}`)
      await using database = await postgres.createDatabase()
      await database.query('create table rolling (id int primary key)')
      results.push(await roll(program, contender, rounds, database, run.signal))
    }
  } catch (error) {
    run.signal.throwIfAborted()
    failure = describeError(error)
  }
  return { instances: INSTANCES, rate: RATE, rounds, results, ...(failure !== undefined && { failure }) }
}

interface Instance {
  readonly child: ChildProcess
  readonly port: number
  readonly exited: Promise<unknown>
}

async function roll(
  program: Program,
  contender: RollingContender,
  rounds: number,
  database: Database,
  signal: AbortSignal,
): Promise<RollingResult> {
  await using balancer = await startBalancer()
  const start = async (): Promise<Instance> => {
    const child = fork(program.path, [contender, database.url], {
      execArgv: program.execArgv,
      stdio: ['ignore', process.stderr.fd, process.stderr.fd, 'ipc'],
      signal,
      killSignal: 'SIGKILL',
    })
    // An abort is told as an error, too; the exit follows.
    child.on('error', () => {})
    const exited = once(child, 'exit')
    const [port] = (await Promise.race([once(child, 'message'), exited.then(() => [])])) as [number | undefined]
    if (port === undefined) throw new Error(`an instance of "${contender}" ended before it was ready`)
    balancer.add(port)
    return { child, port, exited }
  }
  const startAll = (): Promise<Instance[]> => Promise.all(Array.from({ length: INSTANCES }, start))
  const areReady = async (count: number): Promise<void> => {
    while (balancer.ready < count) await sleep(20, undefined, { signal })
  }

  let instances = await startAll()
  await areReady(INSTANCES)
  const load = new Load(balancer.url)
  const stops: number[] = []
  let endedBadly = 0
  for (let round = 0; round < rounds; round++) {
    const next = await startAll()
    await areReady(INSTANCES * 2)
    for (const { child, port, exited } of instances) {
      const begun = performance.now()
      child.kill('SIGTERM')
      await exited
      stops.push(performance.now() - begun)
      if (child.exitCode !== 0) endedBadly++
      balancer.remove(port)
      await sleep(PAUSE_MS, undefined, { signal })
    }
    instances = next
  }
  await load.end()
  for (const { child } of instances) child.kill('SIGTERM')
  await Promise.all(instances.map(each => each.exited))

  const rows = await database.query<{ id: number }>('select id from rolling')
  const written = new Set(rows.map(row => row.id))
  stops.sort((a, b) => a - b)
  return {
    contender,
    restarts: stops.length,
    asked: load.asked,
    failed: load.failed,
    reasons: load.reasons,
    lost: load.acknowledged.filter(id => !written.has(id)).length,
    endedBadly,
    stopMs: { p50: stops[Math.floor(stops.length / 2)] ?? 0, max: stops.at(-1) ?? 0 },
  }
}

/** Asks at its rate, whatever becomes of the answers. */
class Load {
  readonly acknowledged: number[] = []
  readonly reasons: Record<string, number> = {}
  readonly #url: string
  readonly #sent: Promise<void>[] = []
  readonly #timer: NodeJS.Timeout
  failed = 0

  constructor(url: string) {
    this.#url = url
    const began = performance.now()
    // A tick that comes late sends all that has become due.
    this.#timer = setInterval(() => {
      const due = ((performance.now() - began) * RATE) / 1_000
      while (this.#sent.length < due) this.#sent.push(this.#send(this.#sent.length))
    }, 1_000 / RATE)
  }

  get asked(): number {
    return this.#sent.length
  }

  async end(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#sent)
  }

  async #send(id: number): Promise<void> {
    try {
      const response = await fetch(`${this.#url}/${id}`)
      const text = await response.text()
      if (response.status === 200) this.acknowledged.push(id)
      else this.#fail(`${response.status} ${text.replace(/^instance \d+: /, '').replace(/:\d+$/, '')}`)
    } catch (error) {
      this.#fail(describeError(error))
    }
  }

  #fail(reason: string): void {
    this.failed++
    this.reasons[reason] = (this.reasons[reason] ?? 0) + 1
  }
}
