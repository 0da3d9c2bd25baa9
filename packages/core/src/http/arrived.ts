/** What has come to this process and was not looked at yet. */

/**
 * Resolves when the event loop has taken in all that had arrived by now: connections, then what was sent over them. Node
 * calls timers before it looks at its sockets, so to a timer whose process was not given the CPU it seems that nothing came.
 * Source: libuv's documentation, "The I/O loop".
 */
export async function arrived(): Promise<void> {
  await new Promise(setImmediate)
  await new Promise(setImmediate)
}
