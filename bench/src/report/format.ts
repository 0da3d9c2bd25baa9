/** How figures are written in tables. */

import Table from 'cli-table3'
import type { Spread } from './spread.js'

/** Returns the table as text; the first `named` columns are names, the others figures. */
export function tableOf(head: readonly string[], named: number, rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
    colAligns: head.map((_, column) => (column < named ? 'left' : 'right')),
  })
  table.push(...rows.map(row => [...row]))
  return table.toString()
}

/** Returns the median with the range behind it, unless all that is written is the same. */
export function withRange({ median, min, max }: Spread, format: (value: number) => string): string {
  const [least, most] = [format(min), format(max)]
  return least === most ? format(median) : `${format(median)} (${least} to ${most})`
}

/** For what may be large: queries a second, nanoseconds. */
export function formatCount(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 1 : 0 })
}

export function formatMs(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)
}
