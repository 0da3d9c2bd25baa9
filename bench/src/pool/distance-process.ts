/** The program that stands between the contenders and a server that is to be further away. */

import { type FaultProxy, startProxy } from '@breakwater/testkit'
import { answerCalls } from '../process/answer-calls.js'
import type { Closable } from '../process/calls.js'

/** `open` first, `close` last. */
export interface DistanceCalls extends Closable {
  /** Resolves with the URL of the same database through the proxy. */
  open(way: { readonly postgresUrl: string; readonly addedMs: number }): Promise<string>
}

let proxy: FaultProxy | undefined

answerCalls<DistanceCalls>({
  async open({ postgresUrl, addedMs }) {
    const { hostname, port } = new URL(postgresUrl)
    proxy = await startProxy({ host: hostname, port: Number(port) }, { isAlone: true })
    proxy.setLatency(addedMs)
    return proxy.url(postgresUrl)
  },
  async close() {
    await proxy?.close()
  },
})
