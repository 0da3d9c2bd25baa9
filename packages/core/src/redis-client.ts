/**
 * The door to ioredis: a client set up for what stands in front of a database, where no answer in time is as good as a
 * miss. While Redis is away every command fails at once; nothing is kept to be sent later, and nothing is sent twice.
 */

import { BreakwaterError, type Logger, type StepContext } from '@breakwater/kernel'
import { Cluster, type ClusterNode, type ClusterOptions, Redis, type RedisOptions } from 'ioredis'
import { reasonOf } from './lifecycle/failure.js'

/** What the service gets: a `Cluster` if it has given `cluster`. */
export type AnyRedis = Redis | Cluster
export type { Redis } from 'ioredis'

type Settings = Omit<RedisOptions, 'replyMapping'>

/**
 * ioredis's own options; each stands before the default chosen here. With `sentinels` and `name` the client asks Sentinels
 * for the master at every connect, and leaves that as soon as one says that it was replaced: a connection to each is kept.
 * The cache reads replies in their RESP2 shapes.
 */
export interface RedisClientOptions extends Settings {
  /** `redis://` or `rediss://` with host, port, user, password and database. Not with `cluster`. */
  readonly url?: string | undefined
  /** Some nodes of a Redis Cluster, from which the client learns the others; all other options are those of each node. */
  readonly cluster?: readonly ClusterNode[] | undefined
}
type ServerOptions = RedisClientOptions & { readonly cluster?: undefined }

/** The longest pause between two attempts to connect: how soon a Redis that came back is noticed. */
const LONGEST_PAUSE_MS = 1_000

const DEFAULTS: Settings = {
  // Connecting is a step of the start, with a deadline and an outcome of its own.
  lazyConnect: true,
  // Stock keeps commands while Redis is away, without bound, and runs them when it is back, long after the caller
  // has been told that they failed; the first such failure takes 73.7 s in 6.0 (10.6 s in 5.11).
  enableOfflineQueue: false,
  // Rejects what was in flight when the socket is lost, at once. Stock sends it again: an INCR runs twice.
  maxRetriesPerRequest: 0,
  // A server that accepts but never answers, or a socket that is half open, is found by this and by nothing else.
  socketTimeout: 5_000,
  connectTimeout: 2_000,
  disconnectTimeout: 250,
  retryStrategy: attempt => Math.min(50 * 2 ** (attempt - 1), LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2),
  connectionName: 'breakwater',
  // A master that was made a replica without its connections being cut. Stock goes on asking it for ever.
  reconnectOnError: error => error.message.startsWith('READONLY'),
  // Sentinels say when they have replaced a master, and that one may not know it. Stock stays with it until it is closed.
  failoverDetector: true,
}

/** Like DEFAULTS: nothing waits within the client for a failover to end, and nothing is sent twice. */
const CLUSTER_DEFAULTS: ClusterOptions = {
  lazyConnect: true,
  enableOfflineQueue: false,
  // Stock sends what was in flight to a node that is lost to the next one.
  retryDelayOnFailover: 0,
  retryDelayOnClusterDown: 0,
  slotsRefreshInterval: 2_000,
  slotsRefreshTimeout: 1_000,
  clusterRetryStrategy: attempt => Number(DEFAULTS.retryStrategy?.(attempt)),
}

/**
 * Makes a client that is not connected yet, and logs when its connection is lost and when it is back.
 * A `blpop` or another command that may wait for longer than 5 s needs `socketTimeout: undefined`.
 * @throws {BreakwaterError} kind `usage`, code `OPTION_INVALID`, for a URL that is none.
 */
export function createRedisClient(options: ServerOptions, logger?: Logger): Redis
export function createRedisClient(options: RedisClientOptions, logger?: Logger): AnyRedis
export function createRedisClient({ url, cluster, ...options }: RedisClientOptions, logger?: Logger): AnyRedis {
  const settings: Settings = { ...DEFAULTS, ...options }
  if (cluster !== undefined) return openCluster(cluster, url, settings, logger)
  const client = url === undefined ? new Redis(settings) : new Redis(checkedUrl(url), settings)
  logConnection(client, logger)
  forgetSocketTimeout(client)
  return client
}

function openCluster(
  nodes: readonly ClusterNode[],
  url: string | undefined,
  { lazyConnect: _, ...redisOptions }: Settings,
  logger: Logger | undefined,
): Cluster {
  if (url !== undefined || nodes.length === 0) {
    throw new BreakwaterError(
      'usage',
      'OPTION_INVALID',
      'redis.cluster must name a node or more, and goes without redis.url',
    )
  }
  const client = new Cluster([...nodes], { ...CLUSTER_DEFAULTS, redisOptions })
  logConnection(client, logger)
  client.on('+node', forgetSocketTimeout)
  return client
}

function logConnection(client: AnyRedis, logger: Logger | undefined): void {
  // Without a listener ioredis writes each error to the console.
  let lastReason: string | undefined
  client.on('error', (error: unknown) => {
    const reason = reasonOf(error)
    if (reason === lastReason) return
    lastReason = reason
    logger?.warn({ event: 'redis.lost', 'error.type': reason }, 'Redis cannot be reached; trying again')
  })
  client.on('ready', () => {
    if (lastReason !== undefined) logger?.info({ event: 'redis.back' }, 'Redis is back')
    lastReason = undefined
  })
}

function forgetSocketTimeout(client: Redis): void {
  // 5.11 lets this timer outlive its socket: the next one goes unwatched, and the process is kept alive for it.
  client.on('close', () => {
    const timed = client as unknown as { socketTimeoutTimer: NodeJS.Timeout | undefined }
    clearTimeout(timed.socketTimeoutTimer)
    timed.socketTimeoutTimer = undefined
  })
}

function checkedUrl(url: string): string {
  // ioredis takes whatever it does not know for the path of a Unix socket.
  if (/^rediss?:\/\//.test(url) && URL.canParse(url)) return url
  // The text is not repeated: there may be a password in it.
  throw new BreakwaterError('usage', 'OPTION_INVALID', 'redis.url must be a redis:// or rediss:// URL')
}

/**
 * Resolves when the client is connected and the server has loaded its data, connecting it if nobody has.
 * Rejects, once the signal is aborted, with the last error of the connection.
 */
export function whenReady(client: AnyRedis, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let lastError: unknown
    const onError = (error: unknown): void => {
      lastError = error
    }
    const settle = (error?: unknown): void => {
      client.off('error', onError).off('ready', onReady).off('end', onEnd)
      signal.removeEventListener('abort', onAbort)
      if (error === undefined) resolve()
      else reject(error)
    }
    const onReady = (): void => settle()
    const onAbort = (): void => settle(lastError ?? signal.reason)
    const onEnd = (): void =>
      settle(lastError ?? new BreakwaterError('usage', 'REDIS_CLOSED', 'the Redis client has been closed'))

    if (client.status === 'ready') return resolve()
    if (client.status === 'end') return onEnd()
    if (signal.aborted) return onAbort()
    client.on('error', onError).on('ready', onReady).on('end', onEnd)
    signal.addEventListener('abort', onAbort)
    // How this attempt fails is heard as an event; the client itself tries again.
    if (client.status === 'wait') client.connect().catch(() => {})
  })
}

/**
 * Closes the client: what was sent is answered first, unless the signal is aborted. Settles when the socket is gone;
 * rejects with the signal's reason if the server had not answered by then.
 */
export async function closeRedisClient(client: AnyRedis, { signal }: StepContext): Promise<void> {
  if (client.status === 'end') return
  const ended = new Promise<void>(resolve => client.once('end', resolve))
  const asked = client.status === 'ready' && !signal.aborted
  if (asked) {
    const aborted = new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
    await Promise.race([client.quit().catch(() => {}), aborted])
  }
  const connections = client instanceof Cluster ? client.nodes() : [client]
  // Between two attempts there is no socket whose end could be heard, and ioredis would stay in between for ever.
  if (client instanceof Redis && (client.status === 'reconnecting' || client.status === 'close')) {
    client.connect().catch(() => {})
  }
  client.disconnect()
  // disconnect() only says goodbye, which a server that hangs does not answer.
  for (const { stream } of connections) stream?.destroy()
  // A Cluster without a node has nothing whose end it could tell of.
  if (connections.length > 0) await ended
  if (asked) signal.throwIfAborted()
}
