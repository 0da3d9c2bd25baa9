/**
 * `bench [scenario ...] [--full] [--json FILE] [--seed N]`: reads the command line, runs, prints the table. Whatever is
 * wrong is said in one line on stderr, with a non-zero exit code; an interrupt ends everything that was started.
 */

import { relative } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { runBench } from './driver/run-bench.js'
import { describeError } from './report/describe-error.js'
import { createProgress } from './report/progress.js'
import type { Results } from './report/results.js'
import { checkWritable, LATEST, writeResults } from './report/results-file.js'
import { formatTable, formatVerdicts } from './report/table.js'
import { findScenario, scenarios } from './scenarios/index.js'
import type { Scenario } from './scenarios/scenario.js'

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
  .argument('[scenario...]', `any of: ${scenarios.map(each => each.name).join(', ')} (default: all)`, addScenario)
  .option('--full', 'longer windows and more rounds', false)
  .option('--json <file>', 'also write the results to this file', checkJsonFile)
  .option('--seed <number>', 'decides every random number', parseSeed, DEFAULT_SEED)
  .addHelpText('after', `\nScenarios:\n${scenarios.map(each => `  ${each.name.padEnd(14)} ${each.shows}`).join('\n')}`)
  .action((named: readonly Scenario[], options: Options) => main(named.length > 0 ? named : scenarios, options))

await program.parseAsync()

async function main(chosen: readonly Scenario[], { full, seed, json }: Options): Promise<void> {
  const progress = createProgress(process.stderr)
  const signal = abortOnSignals()
  try {
    const results = await runBench({ scenarios: chosen, full, seed, signal, onStep: step => progress.step(step) })
    progress.clear()
    print(results)
    writeResults(results, [LATEST, ...(json === undefined ? [] : [json])])
    if (results.scenarios.some(hasFailed)) process.exitCode = 1
  } catch (error) {
    progress.clear()
    process.stderr.write(`bench: ${describeError(error)}\n`)
    process.exitCode ??= 1
  }
}

function print(results: Results): void {
  const { seed, seconds, environment } = results
  const { machine, versions, commit } = environment
  const lines = [
    formatTable(results),
    ...formatVerdicts(results),
    `${machine.cores} x ${machine.cpu}, Node ${versions.node}, Postgres ${versions.postgres}, Redis ${versions.redis}`,
    `seed ${seed}, commit ${commit}, ${seconds.toFixed(0)} s; raw rounds in ${relative(process.cwd(), LATEST)}`,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

function hasFailed({ failure, summary }: Results['scenarios'][number]): boolean {
  return failure !== undefined || summary.some(each => each.wrong > 0)
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

function addScenario(name: string, before: readonly Scenario[] = []): readonly Scenario[] {
  const scenario = findScenario(name)
  if (scenario === undefined) {
    throw new InvalidArgumentError(
      `There is no such scenario; there are ${scenarios.map(each => each.name).join(', ')}.`,
    )
  }
  return before.includes(scenario) ? before : [...before, scenario]
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
