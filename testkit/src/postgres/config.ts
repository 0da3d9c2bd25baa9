/** Writes a server's configuration beside its data, so that kept data folders carry none. */

import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from '../process/account.js'
import { type Certificates, makeCertificates } from '../tls.js'

/**
 * Made for tests: nothing need survive a power cut (a commit does survive a kill), little memory, no work in the
 * background that blurs a measurement.
 */
const DEFAULTS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  full_page_writes: 'off',
  shared_buffers: '32MB',
  max_wal_size: '256MB',
  autovacuum: 'off',
  io_method: 'sync',
  max_logical_replication_workers: '0',
  // In the data folder: what the other kinds leave in /dev/shm would survive a kill.
  dynamic_shared_memory_type: 'mmap',
  default_text_search_config: 'pg_catalog.english',
}

export interface ConfigOptions {
  tls?: boolean
  password?: string
  settings?: Record<string, string>
}

const DATA = 'data'
const CA_FILE = 'ca.pem'

/** The parts of a server's folder. */
export const layout = {
  data: (folder: string): string => join(folder, DATA),
  ca: (folder: string): string => join(folder, CA_FILE),
}

/** Writes all but the port, which `writePort` adds. Returns the certificates, if TLS is asked for. */
export async function writeConfig(
  folder: string,
  account: Account | undefined,
  options: ConfigOptions,
): Promise<Certificates | undefined> {
  const tls: Record<string, string> = {}
  const certificates = options.tls ? await makeCertificates() : undefined
  if (certificates) {
    const key = join(folder, 'server.key')
    await writeFile(key, certificates.key, { mode: 0o600 })
    if (account) await chown(key, account.uid, account.gid)
    await writeFile(join(folder, 'server.crt'), certificates.certificate)
    await writeFile(layout.ca(folder), certificates.ca)
    Object.assign(tls, { ssl: 'on', ssl_key_file: key, ssl_cert_file: join(folder, 'server.crt') })
  }
  const settings = { ...DEFAULTS, ...tls, ...options.settings, data_directory: layout.data(folder) }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quoted(value)}`)
  await writeFile(join(folder, 'postgresql.conf'), `${lines.join('\n')}\n`)
  const how = options.password === undefined ? 'trust' : 'scram-sha-256'
  await writeFile(join(folder, 'pg_hba.conf'), `${options.tls ? 'hostssl' : 'host'} all all 127.0.0.1/32 ${how}\n`)
  await writeFile(join(folder, 'pg_ident.conf'), '')
  return certificates
}

function quoted(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
