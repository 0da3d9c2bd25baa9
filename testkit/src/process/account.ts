/** The account that servers run under: this process's own, or an unprivileged one where that is root. */

import { readFileSync } from 'node:fs'

export interface Account {
  readonly uid: number
  readonly gid: number
}

/** Returns the account `nobody` if this process runs as root, which Postgres refuses; else nothing. */
export function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  // By name: initdb looks its own uid up in this file.
  const entry = /^nobody:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'))
  if (!entry) throw new Error('Postgres does not run as root, and this machine has no account "nobody" to run it under')
  return { uid: Number(entry[1]), gid: Number(entry[2]) }
}
