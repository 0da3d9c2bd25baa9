/** A way to the server that takes longer, by a proxy in a process of its own, whose work is nobody's. */

import { sourceProgram } from '../process/program.js'
import { RemoteProcess } from '../process/remote-process.js'
import type { DistanceCalls } from './distance-process.js'

const PROGRAM = new URL('./distance-process.ts', import.meta.url)

export class Distance implements AsyncDisposable {
  /** Of the same database, so much further away. */
  readonly url: string
  readonly #proxy: RemoteProcess<DistanceCalls> | undefined

  private constructor(url: string, proxy: RemoteProcess<DistanceCalls> | undefined) {
    this.url = url
    this.#proxy = proxy
  }

  /** @param addedMs to each round trip; undefined for the way that there is. */
  static async open(postgresUrl: string, addedMs: number | undefined, signal: AbortSignal): Promise<Distance> {
    if (addedMs === undefined) return new Distance(postgresUrl, undefined)
    const proxy = new RemoteProcess<DistanceCalls>(await sourceProgram(PROGRAM), 'proxy', signal)
    try {
      return new Distance(await proxy.call('open', { postgresUrl, addedMs }), proxy)
    } catch (error) {
      await proxy.end()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.end()
  }
}
