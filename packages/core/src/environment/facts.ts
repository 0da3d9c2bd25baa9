/** What can be learned of the surroundings: of Node, of the servers by asking them, of who will end the process. */

import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Clock } from '@breakwater/kernel'

/** Runs one query and resolves with its rows. */
export type Ask = (text: string) => Promise<readonly Record<string, unknown>[]>

export interface NodeFacts {
  readonly version: string
  /** What the application's package.json asks for. */
  readonly engines: string | undefined
}

export interface PostgresFacts {
  readonly version: string
  readonly maxConnections: number
  /** Kept by the server for its own users: `superuser_reserved_connections` and `reserved_connections`. */
  readonly reserved: number
  /** The least of the limits of the database and of the role; undefined without any. */
  readonly ownLimit: number | undefined
  /** Where it was asked. */
  readonly holders?: readonly Holder[]
  readonly encrypted: boolean
  readonly local: boolean
  /** Ms by which the server's clock is ahead; known to half a round trip. */
  readonly clockSkewMs: number
  /** The shortest of a few, in ms. */
  readonly roundTripMs: number
}

/** Who is connected. */
export interface Holder {
  readonly name: string
  readonly count: number
}

export interface RedisFacts {
  readonly version: string
  readonly maxMemory: number
  readonly evictionPolicy: string
  readonly roundTripMs: number
}

export async function nodeFacts(from: string = process.cwd()): Promise<NodeFacts> {
  return { version: process.versions.node, engines: await enginesOf(from) }
}

async function enginesOf(folder: string): Promise<string | undefined> {
  try {
    const text = await readFile(join(folder, 'package.json'), 'utf8')
    const { engines } = JSON.parse(text) as { engines?: { node?: unknown } }
    return typeof engines?.node === 'string' ? engines.node : undefined
  } catch {
    const above = dirname(folder)
    return above === folder ? undefined : enginesOf(above)
  }
}

const QUESTION = `select current_setting('server_version') as version,
  current_setting('max_connections')::int as max_connections,
  current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true), '0')::int as reserved,
  (select least(nullif(datconnlimit, -1), (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user))
    from pg_database where datname = current_database()) as own_limit,
  coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted,
  inet_server_addr() is null or inet_server_addr() = inet_client_addr() as local`

const HOLDERS = `select coalesce(nullif(application_name, ''), usename, backend_type) as name, count(*)::int as count
  from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() group by 1 order by 2 desc, 1`

/** Lists who holds connections, the most first; this process left out. */
export async function connectionHolders(ask: Ask): Promise<Holder[]> {
  const rows = await ask(HOLDERS)
  return rows.map(({ name, count }) => ({ name: String(name), count: Number(count) }))
}

/** @param rounds how often the time is asked, at least once; it is one query more than that. */
export async function postgresFacts(ask: Ask, clock: Clock, rounds: number): Promise<PostgresFacts> {
  const [row = {}] = await ask(QUESTION)
  const times: { readonly roundTripMs: number; readonly skewMs: number }[] = []
  for (let n = 0; n < rounds; n++) {
    const began = clock.now()
    const [{ ms } = {}] = await ask('select extract(epoch from clock_timestamp()) * 1000 as ms')
    const roundTripMs = clock.now() - began
    // Two clocks on the wall are compared, of which the kernel's is none.
    times.push({ roundTripMs, skewMs: Number(ms) - (Date.now() - roundTripMs / 2) })
  }
  // The fastest is the one in which the least else has happened.
  const best = times.reduce((a, b) => (b.roundTripMs < a.roundTripMs ? b : a))
  return {
    version: String(row.version).split(' ')[0] ?? '',
    maxConnections: Number(row.max_connections),
    reserved: Number(row.reserved),
    ownLimit: row.own_limit === null ? undefined : Number(row.own_limit),
    encrypted: row.encrypted === true,
    local: row.local === true,
    clockSkewMs: best.skewMs,
    roundTripMs: best.roundTripMs,
  }
}

/** @param info runs Redis's INFO. */
export async function redisFacts(info: () => Promise<string>, clock: Clock): Promise<RedisFacts> {
  const began = clock.now()
  const text = await info()
  const roundTripMs = clock.now() - began
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(text)?.[1]
  return {
    version: field('redis_version') ?? '',
    maxMemory: Number(field('maxmemory') ?? 0),
    evictionPolicy: field('maxmemory_policy') ?? '',
    roundTripMs,
  }
}

/** Who ends the process, and how long it waits between asking and killing. */
export interface Supervisor {
  readonly name: string
  readonly killMs: number
}

/**
 * Tells by the environment who that is; undefined if nothing shows it. Docker leaves no mark of itself, only a file.
 * Source: Kubernetes' `terminationGracePeriodSeconds`, `docker stop`, pm2's `kill_timeout`, systemd's `TimeoutStopSec`.
 */
export function supervisorOf(env: NodeJS.ProcessEnv, isInDocker: boolean): Supervisor | undefined {
  if (env.KUBERNETES_SERVICE_HOST !== undefined) return { name: 'Kubernetes', killMs: 30_000 }
  if (env.pm_id !== undefined) return { name: 'pm2', killMs: Number(env.kill_timeout) || 1_600 }
  if (env.INVOCATION_ID !== undefined || env.NOTIFY_SOCKET !== undefined) return { name: 'systemd', killMs: 90_000 }
  return isInDocker ? { name: 'docker stop', killMs: 10_000 } : undefined
}
