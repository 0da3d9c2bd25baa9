/** Writes results as JSON files. */

import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Results } from './results.js'

/** Always written; not kept in git. */
export const LATEST = join(import.meta.dirname, '..', '..', 'results', 'latest.json')

/** Throws what opening `path` for writing throws, and leaves nothing behind: said before minutes of work, not after. */
export function checkWritable(path: string): void {
  const isNew = !existsSync(path)
  closeSync(openSync(path, 'a'))
  if (isNew) rmSync(path)
}

export function writeResults(results: Results, paths: readonly string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`)
  }
}
