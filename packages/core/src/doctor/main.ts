#!/usr/bin/env node
/** `breakwater doctor`: its arguments, and what it exits with. */

import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { parseDuration } from '@breakwater/kernel'
import { versionsOf } from '../environment/checks.js'
import { readLock } from '../environment/environment.js'
import { diagnose } from './doctor.js'
import { reportOf } from './report.js'

const USAGE = `breakwater doctor [options]

  --postgres URL     default: DATABASE_URL
  --redis URL        default: REDIS_URL; without one Redis is left out
  --instances N      instances of the service that run at once (1)
  --qps N            queries a second of all of them (100)
  --hold MS          how long a query holds its connection (two measured round trips)
  --max N            connections of each pool (what is advised)
  --deadline TIME    how long a stop may take (25s)
  --lock FILE        tells other versions than those in FILE
  --write-lock FILE  writes the versions found
  --timeout TIME     how long a server may take to answer (5s)
  --strict           exit code 1 for warnings, too
  --json             the whole diagnosis as JSON

Exit code 0: all is well. 1: something fails, or a server cannot be asked. 2: wrong arguments.
`

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      postgres: { type: 'string' },
      redis: { type: 'string' },
      instances: { type: 'string', default: '1' },
      qps: { type: 'string', default: '100' },
      hold: { type: 'string' },
      max: { type: 'string' },
      deadline: { type: 'string', default: '25s' },
      lock: { type: 'string' },
      'write-lock': { type: 'string' },
      timeout: { type: 'string', default: '5s' },
      strict: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(USAGE)
    return 0
  }
  if (positionals.join(' ') !== 'doctor') throw new TypeError(`unknown command "${positionals.join(' ')}"`)
  const diagnosis = await diagnose({
    postgres: values.postgres ?? process.env.DATABASE_URL,
    redis: values.redis ?? process.env.REDIS_URL,
    instances: number('instances', values.instances, 1),
    qps: number('qps', values.qps, 0),
    holdMs: values.hold === undefined ? undefined : number('hold', values.hold, 0),
    poolMax: values.max === undefined ? undefined : number('max', values.max, 1),
    deadlineMs: duration('deadline', values.deadline),
    timeoutMs: duration('timeout', values.timeout),
    lock: values.lock === undefined ? undefined : await readLock(values.lock),
  })
  const { facts, findings } = diagnosis
  if (values['write-lock'] !== undefined) {
    await writeFile(values['write-lock'], `${JSON.stringify(versionsOf(facts), null, 2)}\n`)
  }
  process.stdout.write(values.json ? `${JSON.stringify(diagnosis, null, 2)}\n` : reportOf(diagnosis))
  const bad = values.strict ? ['failure', 'unknown', 'warning'] : ['failure', 'unknown']
  return findings.some(({ level }) => bad.includes(level)) ? 1 : 0
}

function number(name: string, text: string, least: number): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= least && value < Number.POSITIVE_INFINITY)) {
    throw new TypeError(`--${name} must be a number from ${least}, not "${text}"`)
  }
  return value
}

function duration(name: string, text: string): number {
  const ms = parseDuration(/^\d+$/.test(text) ? Number(text) : text)
  if (ms === undefined) throw new TypeError(`--${name} must be a time such as 25s, not "${text}"`)
  return ms
}

main().then(
  code => {
    process.exitCode = code
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    process.exitCode = 2
  },
)
