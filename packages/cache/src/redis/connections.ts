/**
 * Opens the cache's own connections beside the client that it was given. Of a single server they are the client's duplicates,
 * which with Sentinels ask these for the master anew at every connect. Of a Cluster each goes to one node: a duplicate of the
 * whole client would open one to every node.
 */

import { type ClusterLike, isCluster, type NodeLike, type RedisLike } from './redis-like.js'

/** Their first command waits for the connect, whatever the client's settings are, and a silence is bounded by who listens. */
const PATIENT = {
  lazyConnect: false,
  enableOfflineQueue: true,
  maxRetriesPerRequest: null,
  commandTimeout: undefined,
  socketTimeout: undefined,
  // The client's own says it. ioredis leaves that of a connection open which has ended by itself.
  failoverDetector: false,
  // A server that hangs does not answer the goodbye.
  disconnectTimeout: 250,
} as const
/** Who reads a log looks for its master anew instead of trying the same node again. */
const ONE_LIFE = { retryStrategy: () => null }

/**
 * Opens a connection to the master that owns `slot`.
 *
 * @throws {Error} while no owner is known.
 */
export function connectToOwner(raw: RedisLike, slot: number): NodeLike {
  if (!isCluster(raw)) return raw.duplicate({ ...PATIENT, ...ONE_LIFE })
  return ownerOf(raw, slot).duplicate({
    ...PATIENT,
    ...ONE_LIFE,
    readOnly: false,
    keyPrefix: raw.options.keyPrefix ?? '',
  })
}

/**
 * Returns the client's own connection to the master that owns `slot`.
 *
 * @throws {Error} while no owner is known.
 */
export function ownerOf(raw: ClusterLike, slot: number): NodeLike {
  const owner = raw.slots[slot]?.[0]
  const node = raw.nodes().find(({ options }) => `${options.host}:${options.port}` === owner)
  if (node === undefined) throw new Error(`no owner of slot ${slot} is known`)
  return node
}

/** Opens a connection to any node: what one of them publishes, all of them tell their subscribers. */
export function connectToAny(raw: RedisLike): NodeLike {
  // A prefix of the client's would be put before the channel here, but not where a script publishes to it.
  const settings = { ...PATIENT, ...ONE_LIFE, keyPrefix: '' }
  if (!isCluster(raw)) return raw.duplicate(settings)
  const nodes = raw.nodes()
  const node = nodes[Math.floor(Math.random() * nodes.length)]
  if (node === undefined) throw new Error('no node is known')
  return node.duplicate({ ...settings, readOnly: false })
}

/** Closes a connection that may be closed already: told so a second time, ioredis keeps a timer for it. */
export function closeConnection(connection: NodeLike | undefined): void {
  if (connection !== undefined && connection.status !== 'end') connection.disconnect()
}
