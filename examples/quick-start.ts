import { bloomGuard } from '@breakwater/cache'
import { createDataAccess } from '@breakwater/core'

const data = createDataAccess({
  postgres: { connectionString: process.env.DATABASE_URL, max: 10 },
  redis: { url: process.env.REDIS_URL },
})
const selectUser = 'SELECT id, name FROM users WHERE id = $1'
const users = data.cache.space<{ id: number; name: string }>('user', {
  ttl: '5m', // fresh for five minutes, then refreshed behind its readers
  grace: '1h', // and servable for an hour more
  load: async id => (await data.pool.query(selectUser, [id])).rows[0] ?? null,
  guard: bloomGuard({ scan: userIds, expected: 1_000_000 }), // ids that do not exist never reach Postgres
})
async function* userIds() {
  for (const { id } of (await data.pool.query('SELECT id FROM users')).rows) yield id
}

await data.init() // pool, Redis, cache, guard: ready, or everything is stopped again and the error says why
console.log(await users.get(42)) // { id: 42, name: … }, or null: known not to exist
await users.delete(42) // here, in Redis and on every other instance
await data.dispose({ deadline: '25s' }) // what is under way ends first; then every connection is closed
