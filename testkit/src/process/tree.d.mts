/** Returns `root` and all its descendants, parents before children. */
export function processTree(root: number): number[]
/** Returns the processes that work in `folder` or below; on Linux only, elsewhere none. */
export function processesIn(folder: string): number[]
/** Tells whether the process runs or is stopped; a zombie does neither. */
export function isAlive(pid: number): boolean
/** Freezes `root` and its descendants; returns them, or nothing if `root` is gone. */
export function stopTree(root: number): number[]
/** Lets `root` and its descendants go on. */
export function continueTree(root: number): void
/** Kills `root` and its descendants; returns their pids, or nothing if `root` is gone. */
export function killTree(root: number): number[]
/** Sends a signal; returns whether the process was there to get it. */
export function signal(pid: number, name: NodeJS.Signals | 0): boolean
