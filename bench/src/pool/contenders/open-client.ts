/** Connects one client, for the pools that leave that to their users. */

import pg from 'pg'

/** @param onLost Called when the connection is lost; without a listener for that the process would end. */
export async function openClient(
  connectionString: string,
  onLost: (client: pg.Client) => void,
  options?: { readonly pipeline: boolean },
): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, ...options } as pg.ClientConfig)
  client.on('error', () => onLost(client))
  await client.connect()
  return client
}
