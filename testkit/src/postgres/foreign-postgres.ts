/** Somebody else's Postgres, named by a connection string: checked once, and used through databases of our own. */

import { BreakwaterError } from '@breakwater/kernel'
import { ForeignServer } from '../process/foreign-server.js'
import type { Database, PostgresServer } from '../server.js'
import { parseTarget, serverVersion, type Target } from './client.js'
import { type CreateOptions, createDatabase } from './database.js'

export class ForeignPostgres extends ForeignServer implements PostgresServer {
  createDatabase(options: CreateOptions = {}): Promise<Database> {
    return createDatabase(this.url, options, () => true)
  }
}

/** Connects to the server that `DATABASE_URL` names. @throws {BreakwaterError} kind `failed`, without the password. */
export async function connectForeignPostgres(url: string): Promise<PostgresServer> {
  const target = parse(url)
  const version = await serverVersion(url).catch(error => {
    const where = `${target.user}@${target.host}:${target.port}/${target.database}`
    throw failure(`cannot connect to ${where}: ${error instanceof Error ? error.message : String(error)}`)
  })
  return new ForeignPostgres({
    host: target.host,
    port: target.port,
    url,
    version,
    owner: 'it comes from DATABASE_URL',
  })
}

function parse(url: string): Target {
  try {
    new URL(url)
    return parseTarget(url)
  } catch {
    // The error of the parser quotes its input, which may hold a password.
    throw failure('is not a URL such as postgres://user:password@host:5432/database')
  }
}

function failure(what: string): BreakwaterError {
  const message = `DATABASE_URL ${what}; mend it, or unset it to have a server started`
  return new BreakwaterError('failed', 'TESTKIT_DATABASE_URL', message)
}
