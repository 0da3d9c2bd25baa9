/** The contenders that are measured against each other, each in a process of its own. */

import { CONNECTIONS } from '../contenders/contender.js'
import { publishedProgram } from '../process/program.js'
import { RemoteProcess } from '../process/remote-process.js'
import type { PoolContenderName } from './contenders/index.js'
import type { PoolCalls } from './protocol.js'

const PROGRAM = publishedProgram(new URL('./instance/instance-process.ts', import.meta.url))

export interface Lane {
  readonly contender: PoolContenderName
  readonly instance: RemoteProcess<PoolCalls>
}

export class Lanes implements AsyncDisposable {
  readonly all: readonly Lane[]

  private constructor(all: readonly Lane[]) {
    this.all = all
  }

  /**
   * Starts a process for each contender; leaves none behind if that fails.
   * @param postgresUrl Without it the contenders lend dummies.
   */
  static async open(
    contenders: readonly PoolContenderName[],
    postgresUrl: string | undefined,
    signal: AbortSignal,
    connections = CONNECTIONS,
  ): Promise<Lanes> {
    const lanes = new Lanes(
      contenders.map(contender => ({ contender, instance: new RemoteProcess<PoolCalls>(PROGRAM, contender, signal) })),
    )
    try {
      await Promise.all(
        lanes.all.map(({ contender, instance }) => instance.call('open', { contender, postgresUrl, connections })),
      )
      return lanes
    } catch (error) {
      await lanes[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map(({ instance }) => instance.end()))
  }
}
