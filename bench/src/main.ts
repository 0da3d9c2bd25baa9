/**
 * `bench [scenario ...] [--full] [--json FILE] [--seed N]`: reads the command line, runs, prints the table. Whatever is
 * wrong is said in one line on stderr, with a non-zero exit code; an interrupt ends everything that was started.
 */

import { relative } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { formatCacheTables, formatCacheVerdicts } from './cache/table.js'
import { runBench } from './driver/run-bench.js'
import { formatFleetTable, formatFleetVerdicts, formatSimulatedTable } from './fleet/table.js'
import { formatGuardTables, formatGuardVerdicts } from './guard/table.js'
import { formatSoakTable, formatSoakVerdicts, hasSoakFailed } from './guard-soak/report.js'
import { formatPoolTables, formatPoolVerdicts } from './pool/table.js'
import { describeError } from './report/describe-error.js'
import { createProgress } from './report/progress.js'
import type { Results } from './report/results.js'
import { checkWritable, LATEST, writeResults } from './report/results-file.js'
import { formatTable, formatVerdicts } from './report/table.js'
import { formatRollingTable, formatRollingVerdict } from './rolling/table.js'
import { findScenario, scenarios } from './scenarios/index.js'
import type { Scenario } from './scenarios/scenario.js'
import { formatSizingTables, formatSizingVerdicts } from './sizing/table.js'

/** Take part only if they are named, since the run without names stays under two minutes. */
const POOL = {
  name: 'pool',
  shows: 'pg.Pool, Breakwater and other pools: the price of a lease, queries a second, faults',
}
const CACHE = { name: 'cache', shows: 'Breakwater and other caches: hits, storms, a frozen Redis, stale reads' }
const FLEET = { name: 'fleet', shows: 'eight processes on a server with twenty connections, pg.Pool and Breakwater' }
const SIZING = { name: 'sizing', shows: 'which size of a pool is the best for a load, and which one it finds itself' }
const FLEET_SIM = { name: 'fleet-sim', shows: 'the rule by which a fleet shares, with up to 1,000 members' }
const GUARD = { name: 'guard', shows: 'the guard: checks a second, error rate, filling it from a million rows' }
const GUARD_SOAK = { name: 'guard-soak', shows: 'the guard under every fault: every answer compared with the table' }
const ROLLING = { name: 'rolling', shows: 'rolling restarts under load: by hand, close-with-grace, Breakwater' }
const ONLY_IF_NAMED = [POOL, CACHE, FLEET, FLEET_SIM, SIZING, GUARD, GUARD_SOAK, ROLLING]

const BY_DEFAULT = scenarios.filter(each => !each.onlyIfNamed)
const names = [...scenarios, ...ONLY_IF_NAMED].map(each => each.name)

/** Any number will do; a fixed one makes two runs comparable. */
const DEFAULT_SEED = 135_233

/** Exit codes of a process that ends for a signal: 128 and the signal's number. */
const EXIT_BY_SIGNAL = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

/** Ms that an interrupted run may take to end in order. */
const END_WITHIN_MS = 10_000

interface Options {
  readonly full: boolean
  readonly json?: string
  readonly seed: number
}

const program = new Command('bench')
  .description('Compares the load on the database, and the answers, with and without Breakwater.')
  .argument(
    '[scenario...]',
    `any of: ${names.join(', ')} (default: ${BY_DEFAULT.map(each => each.name).join(', ')})`,
    addName,
  )
  .option('--full', 'longer windows and more rounds', false)
  .option('--json <file>', 'also write the results to this file', checkJsonFile)
  .option('--seed <number>', 'decides every random number', parseSeed, DEFAULT_SEED)
  .addHelpText('after', `\nScenarios:\n${[...scenarios, ...ONLY_IF_NAMED].map(describeScenario).join('\n')}`)
  .action((named: readonly string[], options: Options) => main(named, options))

await program.parseAsync()

async function main(named: readonly string[], { full, seed, json }: Options): Promise<void> {
  const chosen = named.length > 0 ? named.flatMap(name => findScenario(name) ?? []) : BY_DEFAULT
  const progress = createProgress(process.stderr)
  const signal = abortOnSignals()
  try {
    const results = await runBench({
      scenarios: chosen,
      pool: named.includes(POOL.name),
      fleet: named.includes(FLEET.name),
      fleetSim: named.includes(FLEET_SIM.name),
      sizing: named.includes(SIZING.name),
      cache: named.includes(CACHE.name),
      guard: named.includes(GUARD.name),
      guardSoak: named.includes(GUARD_SOAK.name),
      rolling: named.includes(ROLLING.name),
      full,
      seed,
      signal,
      onStep: step => progress.step(step),
    })
    progress.clear()
    print(results)
    writeResults(results, [LATEST, ...(json === undefined ? [] : [json])])
    if (hasFailed(results)) process.exitCode = 1
  } catch (error) {
    progress.clear()
    process.stderr.write(`bench: ${describeError(error)}\n`)
    process.exitCode ??= 1
  }
}

function print(results: Results): void {
  const { scenarios, pool, cache, fleet, simulatedFleets, sizing, guard, guardSoak, rolling, seed, seconds } = results
  const { machine, versions, commit } = results.environment
  const redis = versions.redis === null ? '' : `, Redis ${versions.redis}`
  const lines = [
    ...(scenarios.length > 0 ? [formatTable(results)] : []),
    ...formatVerdicts(results),
    ...(pool ? [...formatPoolTables(pool), ...formatPoolVerdicts(pool)] : []),
    ...(fleet ? [formatFleetTable(fleet), ...formatFleetVerdicts(fleet)] : []),
    ...(simulatedFleets ? [formatSimulatedTable(simulatedFleets)] : []),
    ...(sizing ? [...formatSizingTables(sizing), ...formatSizingVerdicts(sizing)] : []),
    ...(cache ? [...formatCacheTables(cache), ...formatCacheVerdicts(cache)] : []),
    ...(guard ? [...formatGuardTables(guard), ...formatGuardVerdicts(guard)] : []),
    ...(guardSoak ? [formatSoakTable(guardSoak), ...formatSoakVerdicts(guardSoak)] : []),
    ...(rolling ? [formatRollingTable(rolling), ...formatRollingVerdict(rolling)] : []),
    `${machine.cores} x ${machine.cpu}, Node ${versions.node}, Postgres ${versions.postgres}${redis}`,
    `seed ${seed}, commit ${commit}, ${seconds.toFixed(0)} s; raw rounds in ${relative(process.cwd(), LATEST)}`,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** Ended early, or wrong answers; a number that was not reached is a result like any other. */
function hasFailed({ scenarios, pool, cache, fleet, sizing, guard, guardSoak, rolling }: Results): boolean {
  if ([cache, fleet, sizing, rolling].some(part => part?.failure !== undefined)) return true
  if (guard?.failure !== undefined || (guardSoak && hasSoakFailed(guardSoak))) return true
  const parts = [...scenarios, ...(pool ? [{ failure: pool.failure, summary: pool.queries.summary }] : [])]
  return parts.some(({ failure, summary }) => failure !== undefined || summary.some(each => each.wrong > 0))
}

function describeScenario({ name, shows }: Pick<Scenario, 'name' | 'shows'>): string {
  return `  ${name.padEnd(14)} ${shows}`
}

/** Aborts at the first signal, with the exit code set; a second one does not wait for what is being ended. */
function abortOnSignals(): AbortSignal {
  const controller = new AbortController()
  for (const [name, code] of Object.entries(EXIT_BY_SIGNAL)) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(code)
      process.exitCode = code
      controller.abort(new Error(`ended by ${name}`))
      // What is still there then is ended by the test kit's reaper.
      setTimeout(() => process.exit(code), END_WITHIN_MS).unref()
    })
  }
  return controller.signal
}

function addName(name: string, before: readonly string[] = []): readonly string[] {
  if (names.includes(name)) return before.includes(name) ? before : [...before, name]
  throw new InvalidArgumentError(`There is no such scenario; there are ${names.join(', ')}.`)
}

function parseSeed(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('A seed is a whole number of at most 15 digits.')
  return Number(text)
}

function checkJsonFile(path: string): string {
  try {
    checkWritable(path)
  } catch (error) {
    throw new InvalidArgumentError(`It can't be written: ${describeError(error)}.`)
  }
  return path
}
