/** A clock that all processes of this machine share, so that what one has seen can be set against what another did. */

/** Returns ms from an arbitrary instant. Source: Node's docs, `process.hrtime`; it reads the system's monotonic clock. */
export function machineNow(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
