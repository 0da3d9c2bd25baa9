// Outlives its parent by a moment: when the pipe from it closes, however the parent ended, every process and folder
// that was entrusted and not taken back is ended and removed.

import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { removeSharedMemoryOf } from './shared-memory.mjs'
import { continueTree, isAlive, processesIn, processTree, signal } from './tree.mjs'

/** How long a server may take for its quick way out, on which Postgres gives its shared memory back. */
const QUICK_EXIT_MS = 2_000

/** pid -> the signal on which that server ends at once, without waiting for anybody. */
const processes = new Map()
const folders = new Set()

// A supervisor that signals all processes alike must not end the one that cleans up.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => {})

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line)
  if (order.watch) processes.set(order.watch, order.signal)
  else if (order.unwatch) processes.delete(order.unwatch)
  else if (order.keep) folders.add(order.keep)
  else if (order.release) folders.delete(order.release)
}

await Promise.all(
  [...processes].map(async ([pid, quit]) => {
    const tree = processTree(pid)
    // One that hangs takes no signal but SIGKILL.
    continueTree(pid)
    signal(pid, quit)
    const until = Date.now() + QUICK_EXIT_MS
    while (tree.some(isAlive) && Date.now() < until) await sleep(5)
    for (const each of [...tree, ...processTree(pid)]) if (isAlive(each)) signal(each, 'SIGKILL')
    removeSharedMemoryOf(pid)
  }),
)
for (const folder of folders) {
  // Children of a server that was killed behind our back while they hung, and a server we were not told of in time.
  for (const pid of processesIn(folder)) signal(pid, 'SIGKILL')
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}
