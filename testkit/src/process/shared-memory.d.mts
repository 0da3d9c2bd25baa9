/** Returns the ids of the System V segments that process `pid` made; on Linux only, elsewhere none. */
export function sharedMemoryOf(pid: number): number[]
/** Removes these segments; one that is still in use goes with its last user. */
export function removeSharedMemoryOf(pid: number): void
