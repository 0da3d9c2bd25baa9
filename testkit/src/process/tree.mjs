// A process and everything that descends from it. Postgres gives each backend a session of its own, so a signal to the
// process group would miss them. Plain JavaScript, because the reaper runs without a compiler.

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'

const hasProc = existsSync('/proc/self/stat')

/** Reads `[state, parent pid]` of a process, or nothing if it is gone. */
function readStat(pid) {
  try {
    // The name in parentheses may hold spaces and parentheses; the fields go on after the last one.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return [fields[0], Number(fields[1])]
  } catch {
    return undefined
  }
}

function allPids() {
  return readdirSync('/proc').map(Number).filter(Boolean)
}

function parents() {
  const result = []
  if (hasProc) {
    for (const pid of allPids()) {
      const stat = readStat(pid)
      if (stat) result.push([pid, stat[1]])
    }
  } else {
    const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    for (const line of table.trim().split('\n')) result.push(line.trim().split(/\s+/).map(Number))
  }
  return result
}

export function processTree(root) {
  const children = new Map()
  for (const [pid, parent] of parents()) children.set(parent, [...(children.get(parent) ?? []), pid])
  const tree = [root]
  for (const pid of tree) tree.push(...(children.get(pid) ?? []))
  return tree
}

export function processesIn(folder) {
  if (!hasProc) return []
  return allPids().filter(pid => {
    try {
      return `${readlinkSync(`/proc/${pid}/cwd`)}/`.startsWith(`${folder}/`)
    } catch {
      // It is gone, or somebody else's.
      return false
    }
  })
}

export function isAlive(pid) {
  if (hasProc) {
    // A zombie has ended; whether its parent ever collects it is not our affair.
    const stat = readStat(pid)
    return stat !== undefined && stat[0] !== 'Z' && stat[0] !== 'X'
  }
  return signal(pid, 0)
}

/** Returns whether the process was there to get it. */
export function signal(pid, name) {
  try {
    process.kill(pid, name)
    return true
  } catch (error) {
    if (error.code === 'ESRCH') return false
    throw error
  }
}

export function stopTree(root) {
  // The root first: once it stands still it makes no more children, so the list is complete.
  if (!signal(root, 'SIGSTOP')) return []
  const tree = processTree(root)
  for (const pid of tree.slice(1)) signal(pid, 'SIGSTOP')
  return tree
}

export function continueTree(root) {
  // The root last: it must not see its children still stopped.
  for (const pid of processTree(root).reverse()) signal(pid, 'SIGCONT')
}

export function killTree(root) {
  const tree = stopTree(root)
  for (const pid of tree) signal(pid, 'SIGKILL')
  return tree
}
