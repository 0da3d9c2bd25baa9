/** A diagnosis for a reader. */

import type { Diagnosis } from './doctor.js'

const MARKS = { ok: 'ok  ', warning: 'warn', failure: 'FAIL', unknown: '?   ' }

export function reportOf({ facts, findings, advice }: Diagnosis): string {
  const width = Math.max(...findings.map(({ check }) => check.length))
  const lines = findings.map(({ check, level, message }) => `${MARKS[level]}  ${check.padEnd(width)}  ${message}`)
  const { postgres } = facts
  if (typeof postgres === 'object') {
    const held = (postgres.holders ?? []).map(({ name, count }) => `${count} ${name}`).join(', ')
    lines.push('', `Postgres: one round trip ${ms(postgres.roundTripMs)}; held now: ${held === '' ? 'none' : held}`)
  }
  if (typeof facts.redis === 'object') lines.push(`Redis: one round trip ${ms(facts.redis.roundTripMs)}`)
  if (advice) {
    const { max, busy, share, isShort, holdMs } = advice
    lines.push(
      `Pool: max ${max} for each instance: ${busy.toFixed(2)} connections in use on average (a query holds one for ${ms(holdMs)}), and room for chance.`,
      `Each instance may have ${share}, one more instance counted in for deploys.`,
    )
    if (isShort)
      lines.push('That is less than the load wants: fewer instances, shorter queries, or a higher max_connections.')
  }
  return `${lines.join('\n')}\n`
}

function ms(value: number): string {
  return `${Math.round(value * 100) / 100} ms`
}
