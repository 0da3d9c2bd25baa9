/**
 * Knows each timer that keeps the process alive, and where it was set. Node only counts them, and the count has the test
 * runner's own timers in it, which come and go.
 */

/** Node's own mark of a timer that has fired or was cleared. */
type Handle = NodeJS.Timeout & { readonly _destroyed: boolean }
type SetTimer = (callback: (...args: unknown[]) => void, delayMs?: number, ...args: unknown[]) => NodeJS.Timeout

/** Where each was set. */
const known = new Map<Handle, { readonly delayMs: number; readonly at: Error }>()
/** The size at which those that are over are looked for. */
let pruneAt = 1_000
let isTracking = false

/**
 * From now on notes every timer set through the global functions. A runner that took them for itself before is not seen,
 * nor is `node:timers`.
 */
export function trackTimers(): void {
  if (isTracking) return
  isTracking = true
  globalThis.setTimeout = tracked(globalThis.setTimeout)
  globalThis.setInterval = tracked(globalThis.setInterval)
}

/** Returns the timers that keep the process alive, or `undefined` if they are not tracked. */
export function liveTimers(): ReadonlySet<object> | undefined {
  if (!isTracking) return undefined
  prune()
  return new Set([...known.keys()].filter(timer => timer.hasRef()))
}

/** Says how long a tracked timer is, and the place in our own code that set it. */
export function describeTimer(timer: object): string {
  const facts = known.get(timer as Handle)
  const frames = facts?.at.stack?.split('\n').slice(1) ?? []
  const place = frames.find(frame => !/node_modules|node:/.test(frame)) ?? frames[0]
  return `timer of ${facts?.delayMs} ms set ${place?.trim() ?? 'somewhere'}`
}

function tracked<T extends typeof setTimeout | typeof setInterval>(original: T): T {
  const set: SetTimer = (callback, delayMs, ...args) => {
    const timer = (original as SetTimer)(callback, delayMs, ...args) as Handle
    const at = new Error()
    Error.captureStackTrace(at, set)
    known.set(timer, { delayMs: delayMs ?? 0, at })
    if (known.size >= pruneAt) {
      prune()
      pruneAt = Math.max(1_000, known.size * 2)
    }
    return timer
  }
  for (const key of Object.getOwnPropertySymbols(original)) {
    // The promise form, which util.promisify looks for.
    Object.defineProperty(set, key, { value: Reflect.get(original, key) })
  }
  return set as unknown as T
}

function prune(): void {
  for (const timer of known.keys()) if (timer._destroyed) known.delete(timer)
}
