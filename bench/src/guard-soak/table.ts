/** The rows of the soak, and how every process hears of them the moment that they are committed. */

import { createDataAccess, type DataAccess } from '@breakwater/core'
import type pg from 'pg'

export const CREATE_ITEMS = 'create table items (id bigint primary key)'
/** What is inserted is told with its COMMIT. */
export const CHANNEL = 'items'
const PAGE = 5_000

export interface Items {
  readonly data: DataAccess
  /** Yields every id, a page at a time. */
  scan(): AsyncGenerator<string>
  exists(id: string): Promise<boolean>
}

export function openItems(postgresUrl: string, redisUrl: string, namespace: string): Items {
  const data = createDataAccess({
    postgres: { connectionString: postgresUrl, max: 10 },
    redis: { url: redisUrl },
    cache: { namespace, memory: false, redisTimeout: 500 },
  })
  return {
    data,
    async *scan() {
      let last = '-1'
      for (;;) {
        const { rows } = await data.pool.query<{ id: string }>(
          'select id from items where id > $1 order by id limit $2',
          [last, PAGE],
        )
        for (const { id } of rows) yield id
        if (rows.length < PAGE) return
        last = rows.at(-1)?.id ?? last
      }
    },
    async exists(id) {
      return (await data.pool.query('select from items where id = $1', [id])).rowCount === 1
    },
  }
}

/** Calls back for each id from the moment of its COMMIT on; the connection is the caller's own to end. */
export async function listen(
  client: pg.Client,
  onInserted: (id: string) => void,
  onDeleted: (id: string) => void,
): Promise<void> {
  client.on('notification', ({ payload = '' }) => {
    if (payload.startsWith('-')) onDeleted(payload.slice(1))
    else onInserted(payload)
  })
  await client.query(`listen ${CHANNEL}`)
}
