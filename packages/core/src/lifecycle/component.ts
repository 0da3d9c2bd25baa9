/** What a part of the service tells about itself: its name, what it needs, and what to call when. */

import { type Duration, type Faults, parseDuration, type StepContext } from '@breakwater/kernel'

/** Given to each hook. */
export interface HookContext extends StepContext {
  /** Calls `fn` as a step of its own in the timeline, within this hook's; settles as `fn` does. */
  step<T>(name: string, fn: () => T): Promise<Awaited<T>>
}

/**
 * A part of the service that is started and stopped with the others. Every hook may be left out, and may be synchronous.
 *
 * The hooks pair up: `stop` is called once if `start` succeeded, however late, and `drain` once if `ready` did.
 * Each gets an abort signal and a deadline, and should let go when the signal fires.
 */
export interface Component {
  /** Unique; shown in errors, log lines and the timeline. */
  readonly name: string
  /**
   * What must have started before this starts, and is stopped only after this has stopped.
   * Left out for a component added to `DataAccess`: all of its built-in components.
   */
  readonly dependsOn?: readonly string[]
  /** Makes the part usable for those that depend on it. */
  start?(context: HookContext): unknown
  /** Begins to take work from outside (listen, subscribe, register); called when every component has started. */
  ready?(context: HookContext): unknown
  /** Takes no more work from outside and resolves when what was taken is done; everything it needs is still whole. */
  drain?(context: HookContext): unknown
  /** Frees everything. With a signal that is aborted already it must free at once, by force. */
  stop?(context: HookContext): unknown
  /** Bounds `start` and `ready`, each. Default 15 s. Source: uber-go/fx's default. */
  readonly startTimeout?: Duration
  /** Bounds `drain` and `stop`, each, within what is left of the whole stop. Default 10 s. Source: Spring's, a phase. */
  readonly stopTimeout?: Duration
  /**
   * Whether the service may run without it: a failed start leaves it `degraded`, the others go on, and the start is tried
   * again behind them until it succeeds. Default false.
   */
  readonly optional?: boolean
  /** If not, no hook is called, and those that depend on it start without it. Asked once, by `init()`. Default true. */
  readonly enabled?: boolean | (() => boolean)
}

/**
 * Something that takes work by itself: jobs of a queue, messages of a topic. At the stop its hooks are called in this order,
 * each once if `start` succeeded, whatever became of the one before; requests have ended then, and connections are whole.
 * Each gets an abort signal and a deadline, and should let go when the signal fires.
 */
export interface Consumer {
  /** Begins to take work, when every component is ready; resolves when it does, not when the work is over. */
  start?(context: HookContext): unknown
  /** Takes no new work from now on. */
  pause?(context: HookContext): unknown
  /** Resolves when the work that was taken is done. */
  finish?(context: HookContext): unknown
  /** Tells the source what is done, so that it is not given to anybody again. With an aborted signal: as far as it got. */
  commit?(context: HookContext): unknown
  /** Leaves the source. With a signal that is aborted already it must leave at once, by force. */
  disconnect?(context: HookContext): unknown
}

export const CONSUMER_HOOKS = ['pause', 'finish', 'commit', 'disconnect'] as const

/** What only the parts that this package brings may say of themselves. */
export interface BuiltInComponent extends Component, Omit<Consumer, 'start'> {
  /** Stopped before these, although it does not need them. */
  readonly stopsBefore?: readonly string[]
  /** It holds something from its construction on, so `stop` is called whatever became of `start`. */
  readonly heldFromConstruction?: boolean
  /** Tells, while the service runs, whether it works at this moment. */
  isUp?(): boolean
  /** Told, before anything else, that the stop has begun; must not throw. */
  onStopping?(): void
  /** Tells what is still open when the stop goes on by force; must not throw. */
  left?(): unknown
}

export const DEFAULT_START_TIMEOUT_MS = 15_000
export const DEFAULT_STOP_TIMEOUT_MS = 10_000

const HOOKS = ['start', 'ready', 'drain', 'stop'] as const
const TIMEOUTS = ['startTimeout', 'stopTimeout'] as const
const BUILT_IN_KEYS = ['stopsBefore', 'heldFromConstruction', 'isUp', 'onStopping', 'left', ...CONSUMER_HOOKS]
const KNOWN_KEYS = ['name', 'dependsOn', ...HOOKS, ...TIMEOUTS, 'optional', 'enabled', ...BUILT_IN_KEYS]

/** Notes everything that is wrong with `component` taken by itself. */
export function checkComponent(component: Component, faults: Faults): void {
  const { name, dependsOn } = component
  const check = (ok: boolean, problem: string): void => faults.check(ok, `"${String(name)}": ${problem}`)
  check(typeof name === 'string' && name !== '', 'name must be a string that is not empty')
  // A class may keep its state beside the options; in an object literal an unknown key is a misspelt one.
  if (Object.getPrototypeOf(component) === Object.prototype) {
    for (const key of Object.keys(component)) check(KNOWN_KEYS.includes(key), `${key} is not an option`)
  }
  check(
    dependsOn === undefined || (Array.isArray(dependsOn) && dependsOn.every(each => typeof each === 'string')),
    'dependsOn must be an array of names',
  )
  for (const hook of HOOKS) {
    check(component[hook] === undefined || typeof component[hook] === 'function', `${hook} must be a function`)
  }
  for (const key of TIMEOUTS) {
    const given = component[key]
    check(given === undefined || parseDuration(given) !== undefined, `${key} must be in ms or a string such as '30s'`)
  }
  const { optional, enabled } = component
  check(optional === undefined || typeof optional === 'boolean', 'optional must be true or false')
  check(
    enabled === undefined || typeof enabled === 'boolean' || typeof enabled === 'function',
    'enabled must be true, false or a function that tells',
  )
}
