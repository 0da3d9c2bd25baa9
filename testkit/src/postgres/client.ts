/** The test kit's door to `pg`: one statement on a connection of its own, and whether a server answers. */

import pg from 'pg'

const CONNECT_WITHIN_MS = 5_000

/** A server that is starting up or shutting down. Source: Postgres, appendix A, `cannot_connect_now`. */
const CANNOT_CONNECT_NOW = '57P03'
const NOT_YET: ReadonlySet<unknown> = new Set(['ECONNREFUSED', 'ECONNRESET', CANNOT_CONNECT_NOW])

/** Runs one statement; the connection is closed when this settles. */
export async function queryOnce<R>(url: string, text: string, values?: unknown[]): Promise<R[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_WITHIN_MS })
  // The connection may die with its server at any time; the pending call says so.
  client.on('error', () => {})
  await client.connect()
  try {
    const result = await client.query(text, values)
    return result.rows as R[]
  } finally {
    await client.end()
  }
}

/** Tells whether the server accepts connections; rejects when it answers with anything but "not yet". */
export async function acceptsConnections(url: string): Promise<boolean> {
  try {
    await queryOnce(url, 'select 1')
    return true
  } catch (error) {
    if (NOT_YET.has((error as { code?: unknown }).code)) return false
    throw error
  }
}

/** Returns the server's version, such as `18.4`. */
export async function serverVersion(url: string): Promise<string> {
  const [row] = await queryOnce<{ server_version: string }>(url, 'show server_version')
  return row?.server_version ?? ''
}

/** Where a connection string leads, with pg's own defaults for what it leaves out. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

export function parseTarget(url: string): Target {
  const { host, port, user, database } = new pg.Client({ connectionString: url })
  return { host, port, user: user ?? '', database: database ?? '' }
}

/** Quotes a name for use in a statement. */
export function quoteName(name: string): string {
  return pg.escapeIdentifier(name)
}
