/** What the parent may ask of the process in which a contender runs. */

import type { Closable } from '../process/calls.js'
import type { RedisAddress, Tiers } from './contenders/contender.js'
import type { CacheContenderName } from './contenders/index.js'

interface CacheAssignment {
  readonly contender: CacheContenderName
  readonly tiers: Tiers
  readonly redis: RedisAddress
  readonly ttlMs: number
  readonly source: Source
}

/** Where values come from, on a miss. */
export interface Source {
  /** How long it takes. */
  readonly loadMs: number
  /** Size of a value as JSON. */
  readonly bytes?: number
  /** It fails. */
  readonly failing?: boolean
  /** Values are read from there: numbers that only grow. */
  readonly truth?: RedisAddress
}

export interface HitOrder {
  readonly keys: number
  readonly callers: number
  readonly durationMs: number
  /** Keys in one call. Default 1. */
  readonly many?: number
}

export interface HitOutcome {
  /** Keys that were answered. */
  readonly hits: number
  readonly elapsedMs: number
  readonly cpuMs: number
}

interface StormOutcome {
  readonly ms: number
  readonly failed: number
  /** Calls of the loader in this process. */
  readonly loads: number
}

export interface ReadOutcome {
  readonly ms: number
  readonly outcome: 'answered' | 'failed' | 'pending'
}

export interface AuditOrder {
  readonly instance: number
  readonly seed: number
  readonly keys: number
  readonly readers: number
  readonly writers: number
  readonly durationMs: number
}

/** By the machine's clock. */
export interface AuditOutcome {
  /** Key, version read, when it was asked for. */
  readonly reads: readonly (readonly [key: number, version: number, askedAt: number])[]
  /** Key, version written, when its invalidation had been acknowledged. */
  readonly writes: readonly (readonly [key: number, version: number, doneAt: number])[]
  readonly errors: number
  /** For how long the process was not let run, at most. */
  readonly stoodStillMs: number
}

/** `open` first, `close` last. */
export interface CacheCalls extends Closable {
  open(assignment: CacheAssignment): Promise<void>
  /** Fills, then reads what is there. */
  hits(order: HitOrder): Promise<HitOutcome>
  /** Nanoseconds of CPU time for one hit in memory: awaited, and without a promise. */
  memoryHits(order: { readonly cpuMs: number; readonly peek: boolean }): Promise<number>
  storm(order: { readonly key: string; readonly callers: number }): Promise<StormOutcome>
  read(order: { readonly key: string; readonly capMs: number }): Promise<ReadOutcome>
  audit(order: AuditOrder): Promise<AuditOutcome>
  /** Bytes of heap for one entry. */
  bytesHeld(order: { readonly entries: number }): Promise<number>
}
