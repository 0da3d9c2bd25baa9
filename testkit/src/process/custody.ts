/**
 * Nothing this process starts survives it: servers and folders are entrusted to a reaper, a small process in a session
 * of its own, which ends and removes them when this one is gone, whatever ended it (SIGKILL too).
 */

import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'

type Order =
  | { watch: number; signal: NodeJS.Signals }
  | { unwatch: number }
  /** A folder, which need not exist yet. */
  | { keep: string }
  | { release: string }

let reaper: ChildProcess | undefined

/** Starts the reaper. It keeps neither this process nor the event loop alive. */
function startReaper(): ChildProcess {
  const child = spawn(process.execPath, [fileURLToPath(new URL('./reaper.mjs', import.meta.url))], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: {},
  })
  child.unref()
  const pipe = child.stdin as Socket | null
  pipe?.unref()
  pipe?.on('error', () => {})
  return child
}

/** Hands an order to the reaper. The line is written to the pipe before this returns. */
function order(line: Order): void {
  reaper ??= startReaper()
  reaper.stdin?.write(`${JSON.stringify(line)}\n`)
}

/** Entrusts a server's process; `quit` is the signal on which it ends at once. Returns the way to take it back. */
export function entrustProcess(pid: number, quit: NodeJS.Signals): () => void {
  order({ watch: pid, signal: quit })
  return () => order({ unwatch: pid })
}

/** Entrusts a folder, which need not exist yet. Returns the way to take it back. */
export function entrustFolder(path: string): () => void {
  order({ keep: path })
  return () => order({ release: path })
}
