/** What the cache needs of a client of Redis: structural types that those of ioredis fit, and the one way to run a script on them. */

import type { Script } from './script.js'

export type RedisArgument = string | number | Buffer

/** What the cache needs of any connection. */
interface ConnectionLike {
  readonly status: string
  call(command: string, args: RedisArgument[]): Promise<unknown>
  callBuffer(command: string, args: RedisArgument[]): Promise<unknown>
  disconnect(): void
  // biome-ignore lint/suspicious/noExplicitAny: the listener's shape depends on the event's name.
  on(event: string, listener: (...args: any[]) => void): unknown
  // biome-ignore lint/suspicious/noExplicitAny: see above.
  off(event: string, listener: (...args: any[]) => void): unknown
}

/** A connection to one server: an ioredis `Redis`. */
export interface NodeLike extends ConnectionLike {
  readonly options: { readonly host?: string | undefined; readonly port?: number | undefined }
  subscribe(channel: string): Promise<unknown>
  duplicate(override?: object): NodeLike
}

/** What the cache needs of a Cluster's client: an ioredis `Cluster`. */
export interface ClusterLike extends ConnectionLike {
  readonly isCluster: boolean
  readonly options: { readonly keyPrefix?: string | undefined; readonly scaleReads?: unknown }
  /** By slot the names of its nodes, `host:port`, its master first; empty while the client does not know them. */
  readonly slots: readonly (readonly string[])[]
  nodes(): NodeLike[]
  /** Asks the nodes who owns which slot. */
  refreshSlotsCache(callback?: (error?: unknown) => void): void
}

/** What the cache needs of a client. An ioredis `Redis` or `Cluster` fits (a type test holds them to that). */
export type RedisLike = NodeLike | ClusterLike

export function isCluster(client: RedisLike): client is ClusterLike {
  return (client as Partial<ClusterLike>).isCluster === true
}

/** Runs a script on any connection, unbounded. Its reply's strings are Buffers if `binary`. */
export async function evaluate(
  on: Pick<RedisLike, 'call' | 'callBuffer'>,
  script: Script,
  keys: readonly string[],
  args: readonly RedisArgument[],
  binary = false,
): Promise<unknown> {
  const tail = [keys.length, ...keys, ...args]
  const send = (command: string, what: string): Promise<unknown> =>
    binary ? on.callBuffer(command, [what, ...tail]) : on.call(command, [what, ...tail])
  try {
    return await send('evalsha', script.sha)
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
    return send('eval', script.source)
  }
}
