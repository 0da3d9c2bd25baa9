/** Finds what a piece of code left open: whatever keeps the process alive now and did not before. */

import type { Socket } from 'node:net'
import { runningServers } from './process/server-process.js'
import { describeTimer, liveTimers } from './timers.js'

/** Kinds of what keeps an event loop alive, by Node's names for them. */
const KINDS: Readonly<Record<string, string>> = {
  Timeout: 'timer',
  TCPSocketWrap: 'socket',
  TLSWrap: 'TLS socket',
  TCPServerWrap: 'listening server',
  PipeWrap: 'pipe',
  PipeServerWrap: 'listening pipe',
  UDPWRAP: 'UDP socket',
  ProcessWrap: 'child process',
  Worker: 'worker thread',
}

export interface Leftovers {
  /** @throws {Error} naming what is open now and was not when this was made. */
  check(): void
}

/** Notes what is open now. Servers that the test kit started count too, though they keep no process alive. */
export function leftovers(): Leftovers {
  const before = countOpen()
  const timersBefore = liveTimers()
  return {
    check() {
      const left: string[] = []
      for (const timer of liveTimers() ?? []) if (!timersBefore?.has(timer)) left.push(describeTimer(timer))
      for (const [kind, count] of countOpen()) {
        const more = count - (before.get(kind) ?? 0)
        if (more > 0) left.push(more === 1 ? kind : `${more} x ${kind}`)
      }
      if (left.length > 0) throw new Error(`left open: ${left.join(', ')}${describeSockets()}`)
    },
  }
}

function countOpen(): Map<string, number> {
  const counts = new Map<string, number>()
  const count = (kind: string): void => void counts.set(kind, (counts.get(kind) ?? 0) + 1)
  const areTimersTracked = liveTimers() !== undefined
  for (const type of process.getActiveResourcesInfo()) {
    const kind = KINDS[type]
    if (kind && !(type === 'Timeout' && areTimersTracked)) count(kind)
  }
  for (const server of runningServers()) count(server)
  return counts
}

/** Says where the open sockets lead, old ones included, which is what tells a leak's maker. */
function describeSockets(): string {
  const handles = (process as unknown as { _getActiveHandles?: () => Socket[] })._getActiveHandles?.() ?? []
  const ends = handles
    .filter(each => each.remotePort !== undefined)
    .map(each => `${each.localPort} -> ${each.remotePort}`)
  return ends.length > 0 ? `; sockets now (local -> remote port): ${ends.join(', ')}` : ''
}
