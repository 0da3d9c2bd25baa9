/** Gives a Postgres server: the one behind `DATABASE_URL`, or one of our own from npm's binaries. */

import { unprivilegedAccount } from '../process/account.js'
import { copyFolder, makeRunFolder, type RunFolder } from '../process/folders.js'
import { LocalServer } from '../process/local-server.js'
import { startOnFreePort } from '../process/start-local.js'
import type { Database, PostgresServer } from '../server.js'
import { postgresBinaries } from './binaries.js'
import { acceptsConnections, serverVersion } from './client.js'
import { layout, writeConfig } from './config.js'
import { baseData, findSnapshot, keepSnapshot, SUPERUSER, setPassword } from './data-folder.js'
import { type CreateOptions, createDatabase } from './database.js'
import { connectForeignPostgres } from './foreign-postgres.js'

/** A prepared state that is made once and kept between runs. */
export interface Snapshot {
  /** Letters, digits, `_`, `-`, `.`; must change when what `prepare` makes changes. */
  name: string
  /** Fills the server. Runs when no snapshot of this name is kept, and each time on somebody else's server. */
  prepare(server: PostgresServer): Promise<void>
}

export interface PostgresOptions {
  /** A server with a certificate of our own authority, that takes TLS only. Implies `own`. Default: false. */
  tls?: boolean
  /** The superuser's password, asked for by SCRAM. Implies `own`. Default: none, everybody on this machine is let in. */
  password?: string
  /** Entries of postgresql.conf, for a server that we start; somebody else's keeps its own. */
  settings?: Record<string, string>
  /** Never use `DATABASE_URL`. Default: false. */
  own?: boolean
  snapshot?: Snapshot
}

/**
 * Starts a server, or connects to the one that `DATABASE_URL` names.
 * @throws {BreakwaterError} kind `failed`: `DATABASE_URL` leads nowhere, there are no binaries for this platform, or the
 * server did not start (with the end of its log).
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const url = process.env.DATABASE_URL
  if (url && !options.own && !options.tls && options.password === undefined) {
    const server = await connectForeignPostgres(url)
    await options.snapshot?.prepare(server)
    return server
  }
  const account = unprivilegedAccount()
  const folder = await makeRunFolder('postgres', account)
  try {
    return await startLocal(folder, options)
  } catch (error) {
    await folder[Symbol.asyncDispose]()
    throw error
  }
}

async function startLocal(folder: RunFolder, options: PostgresOptions): Promise<PostgresServer> {
  const { snapshot, password } = options
  const account = unprivilegedAccount()
  const binaries = await postgresBinaries(account)
  const data = layout.data(folder.path)
  const prepared = snapshot && findSnapshot(binaries, snapshot.name)
  await copyFolder(prepared ?? (await baseData(binaries, account)), data)
  if (password !== undefined) await setPassword(binaries, account, data, password)
  const certificates = await writeConfig(folder.path, account, options)

  const urlAt = (port: number): string => adminUrl(folder.path, port, options)
  const started = await startOnFreePort(async port => ({
    name: 'Postgres',
    command: binaries.postgres,
    args: ['-D', folder.path, '-p', String(port)],
    account,
    folder: folder.path,
    stopSignal: 'SIGINT',
    quitSignal: 'SIGQUIT',
    answers: () => acceptsConnections(urlAt(port)),
  }))
  const url = urlAt(started.port)
  const server = new LocalPostgres(started.process, folder, {
    port: started.port,
    url,
    ca: certificates?.ca,
    version: await serverVersion(url),
  })
  if (snapshot && !prepared) {
    try {
      await snapshot.prepare(server)
      await server.stop()
      await keepSnapshot(binaries, snapshot.name, data)
      await server.start()
    } catch (error) {
      await server.kill()
      throw error
    }
  }
  return server
}

function adminUrl(folder: string, port: number, options: PostgresOptions): string {
  const url = new URL(`postgres://${SUPERUSER}@127.0.0.1:${port}/postgres`)
  if (options.password !== undefined) url.password = encodeURIComponent(options.password)
  if (options.tls) {
    url.searchParams.set('sslmode', 'verify-full')
    url.searchParams.set('sslrootcert', layout.ca(folder))
  }
  return url.href
}

class LocalPostgres extends LocalServer implements PostgresServer {
  createDatabase(options: CreateOptions = {}): Promise<Database> {
    return createDatabase(this.url, options, () => this.isUp)
  }
}
