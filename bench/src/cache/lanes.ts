/** The contenders of one part, each in processes of its own, with Redis's keys all to itself. */

import { publishedProgram } from '../process/program.js'
import { RemoteProcess } from '../process/remote-process.js'
import type { RedisAddress, Tiers } from './contenders/contender.js'
import type { CacheContenderName } from './contenders/index.js'
import type { CacheCalls, Source } from './protocol.js'

const PROGRAM = publishedProgram(new URL('./instance/instance-process.ts', import.meta.url))

export interface CacheLane {
  readonly contender: CacheContenderName
  readonly instances: readonly RemoteProcess<CacheCalls>[]
}

export interface LaneOptions {
  readonly processes?: number
  readonly source: Source
  readonly ttlMs?: number
}

/** Long enough that nothing ends while it is measured. */
const TTL_MS = 600_000

export class CacheLanes implements AsyncDisposable {
  readonly all: readonly CacheLane[]

  private constructor(all: readonly CacheLane[]) {
    this.all = all
  }

  /** Starts the processes; leaves none behind if that fails. */
  static async open(
    contenders: readonly (readonly [CacheContenderName, Tiers])[],
    redis: RedisAddress,
    { processes = 1, source, ttlMs = TTL_MS }: LaneOptions,
    signal: AbortSignal,
  ): Promise<CacheLanes> {
    const lanes = new CacheLanes(
      contenders.map(([contender]) => ({
        contender,
        instances: Array.from({ length: processes }, () => new RemoteProcess<CacheCalls>(PROGRAM, contender, signal)),
      })),
    )
    try {
      for (const [i, { contender, instances }] of lanes.all.entries()) {
        const tiers = contenders[i]?.[1] ?? 'both'
        const open = { contender, tiers, redis, ttlMs, source }
        await Promise.all(instances.map(instance => instance.call('open', open)))
      }
      return lanes
    } catch (error) {
      await lanes[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.flatMap(({ instances }) => instances.map(instance => instance.end())))
  }
}
