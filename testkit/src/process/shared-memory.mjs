// System V shared memory outlives the process that made it. Postgres knows by it whether its data is in use, and gives
// it back when it ends; a killed one cannot. Plain JavaScript, because the reaper runs without a compiler.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

const TABLE = '/proc/sysvipc/shm'

export function sharedMemoryOf(pid) {
  if (!existsSync(TABLE)) return []
  const rows = readFileSync(TABLE, 'utf8').trim().split('\n').slice(1)
  // Columns: key, id, permissions, size, maker's pid. Source: proc(5).
  const cells = rows.map(row => row.trim().split(/\s+/).map(Number))
  return cells.filter(row => row[4] === pid).map(row => row[1])
}

export function removeSharedMemoryOf(pid) {
  for (const id of sharedMemoryOf(pid)) {
    try {
      execFileSync('ipcrm', ['-m', String(id)], { stdio: 'ignore' })
    } catch {
      // Gone meanwhile, or no such program: 56 bytes stay until the machine restarts.
    }
  }
}
