/** Opens a connection, or leaves nothing behind: no socket, and no event that nobody listens for. */

import { abandonConnect, type ClientConstructor, type ClientLike } from '../driver.js'
import { Connection } from './connection.js'

export interface OpenOptions {
  readonly Client: ClientConstructor
  readonly clientOptions: ConstructorParameters<ClientConstructor>[0]
  /** Called with the client before it connects. */
  readonly prepare?: (client: ClientLike) => void
  /** Runs before anyone gets the client; what it throws becomes the error of the connect. */
  readonly onConnect: ((client: ClientLike) => unknown) | undefined
  readonly onLost: (connection: Connection) => void
}

/** Resolves with a connection that is ready for use; rejects with the driver's own error. */
export async function openConnection(options: OpenOptions, signal: AbortSignal): Promise<Connection> {
  const client = new options.Client(options.clientOptions) as ClientLike
  options.prepare?.(client)
  const abandon = (): void => abandonConnect(client)
  signal.addEventListener('abort', abandon)
  try {
    await connect(client)
    const connection = new Connection(client, options.onLost)
    await options.onConnect?.(client)
    if (connection.isLost) throw connection.loss
    return connection
  } catch (error) {
    abandon()
    throw error
  } finally {
    signal.removeEventListener('abort', abandon)
  }
}

/** By callback: clients that are not pg's own may know no other form. */
function connect(client: ClientLike): Promise<void> {
  return new Promise((resolve, reject) => {
    // Stays for good: a client in ruins emits more errors, and an unheard one would end the process.
    client.on('error', reject)
    client.connect((error?: Error | null) => (error ? reject(error) : resolve()))
  })
}
