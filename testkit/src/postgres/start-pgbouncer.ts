/** A PgBouncer of Debian's before a server, in transaction mode: each transaction may meet another session. */

import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unprivilegedAccount } from '../process/account.js'
import { unpackPackage } from '../process/debian-package.js'
import { makeRunFolder } from '../process/folders.js'
import { LocalServer } from '../process/local-server.js'
import { startOnFreePort } from '../process/start-local.js'
import type { PostgresServer, Server } from '../server.js'
import { acceptsConnections } from './client.js'

/** @throws what apt-get or dpkg say, on a machine that is not a Debian or has no way to its archive. */
export async function startPgbouncer(server: PostgresServer): Promise<Server> {
  const { root, env } = await unpackPackage('pgbouncer', /^(pgbouncer|lib)/)
  const account = unprivilegedAccount()
  const folder = await makeRunFolder('pgbouncer', account)
  const { username, pathname } = new URL(server.url)
  const urlAt = (port: number): string => `postgres://${username}@127.0.0.1:${port}${pathname}`
  try {
    const started = await startOnFreePort(async port => {
      const file = join(folder.path, 'pgbouncer.ini')
      await writeFile(file, settings(server, username, port))
      if (account) await chown(file, account.uid, account.gid)
      return {
        name: 'PgBouncer',
        command: join(root, 'usr', 'sbin', 'pgbouncer'),
        args: [file],
        env,
        account,
        folder: folder.path,
        stopSignal: 'SIGTERM',
        quitSignal: 'SIGKILL',
        answers: () => acceptsConnections(urlAt(port)),
      }
    })
    const { process, port } = started
    return new LocalServer(process, folder, { port, url: urlAt(port), ca: undefined, version: '' })
  } catch (error) {
    await folder[Symbol.asyncDispose]()
    throw error
  }
}

function settings(server: PostgresServer, user: string, port: number): string {
  return `[databases]
* = host=${server.host} port=${server.port} user=${user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
`
}
