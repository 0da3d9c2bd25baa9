/**
 * How long an instance that is to stop goes on taking traffic: until whoever routes to it has had time to notice.
 *
 * Kubernetes sends SIGTERM and takes the instance out of the service at the same moment, and a balancer hears of it by its
 * next probe; a listener closed at once refuses requests that are on their way [1]. A fixed sleep is either too short or
 * wasted. So the delay ends as soon as no request has come for a while, once the one who asks for readiness has been told.
 *
 * Sources
 *  [1] kubernetes#106476.
 */

import { type Clock, type Duration, type Faults, parseDuration } from '@breakwater/kernel'
import { sleep } from '../work/sleep.js'
import { arrived } from './arrived.js'

export interface DrainDelayOptions {
  /** Waits at least this long, routed to or not. Default 0. */
  readonly min?: Duration
  /** Waits no longer than this, nor than a third of the time to stop; 0 for not at all. Default 5 s. */
  readonly max?: Duration
  /** Ends when no request has come for this long. Default 1 s. */
  readonly quietPeriod?: Duration
}

export interface DrainDelay {
  readonly minMs: number
  readonly maxMs: number
  readonly quietMs: number
  /** Whether the platform routes by itself, and says nothing when it has stopped to. */
  readonly isRouted: boolean
}

const DEFAULTS = { min: 0, max: 5_000, quietPeriod: 1_000 } as const
const LARGEST_SHARE = 1 / 3

/** What is known of the traffic. */
export interface Traffic {
  /** Returns the instant of the latest request, ms. */
  lastRequestAt(): number
  readonly readiness: Readiness
}

/** Whether anybody asks for readiness, and has heard that there is none any more. */
export interface Readiness {
  asked: boolean
  toldNotReady: boolean
}

/** Notes what is wrong. */
export function checkDrainDelay(options: DrainDelayOptions, faults: Faults): void {
  faults.unknownKeys(options, Object.keys(DEFAULTS))
  for (const [key, value] of Object.entries(options)) {
    const ok = value === undefined || parseDuration(value) !== undefined
    faults.check(ok, `drainDelay.${key} must be in ms or a string such as '5s'`)
  }
}

export function resolveDrainDelay(options: DrainDelayOptions = {}, env: NodeJS.ProcessEnv = process.env): DrainDelay {
  const ms = (key: keyof typeof DEFAULTS): number => parseDuration(options[key] ?? DEFAULTS[key]) as number
  return {
    minMs: ms('min'),
    maxMs: Math.max(ms('min'), ms('max')),
    quietMs: ms('quietPeriod'),
    isRouted: env.KUBERNETES_SERVICE_HOST !== undefined,
  }
}

/**
 * Returns after how many ms it is worth asking again; 0: traffic has ceased, or there was none to wait for.
 * @param beganAt instant at which the stop began, ms.
 * @param budgetMs time that the whole stop had then.
 */
export function delayLeftMs(
  delay: DrainDelay,
  traffic: Traffic,
  beganAt: number,
  budgetMs: number,
  now: number,
): number {
  const { asked, toldNotReady } = traffic.readiness
  const latest = beganAt + Math.min(delay.maxMs, budgetMs * LARGEST_SHARE)
  const earliest = beganAt + delay.minMs
  if (!asked && !delay.isRouted) return Math.max(0, Math.min(earliest, latest) - now)
  const quietAt = Math.max(traffic.lastRequestAt(), beganAt) + delay.quietMs
  const heardAt = asked && !toldNotReady && !delay.isRouted ? latest : earliest
  return Math.max(0, Math.min(latest, Math.max(earliest, quietAt, heardAt)) - now)
}

/** Resolves when the delay is over, or `signal` is aborted; undefined if there is nothing to wait for. */
export function waitForQuiet(
  delay: DrainDelay,
  traffic: Traffic,
  clock: Clock,
  budgetMs: number,
  signal: AbortSignal,
): Promise<void> | undefined {
  const beganAt = clock.now()
  const left = (): number => delayLeftMs(delay, traffic, beganAt, budgetMs, clock.now())
  return left() > 0 ? waitWhile(left, clock, signal) : undefined
}

async function waitWhile(left: () => number, clock: Clock, signal: AbortSignal): Promise<void> {
  for (let ms = left(); ms > 0 && !signal.aborted; ms = left()) {
    // Who asks for readiness may be told at any moment; that is not worth an event.
    await sleep(clock, Math.min(ms, LOOK_MS), signal)
    if (left() <= 0) await arrived()
  }
}

const LOOK_MS = 50
