export { type Job, type PostgresQueueOptions, postgresQueueConsumer } from './postgres-queue.js'
export { type RedisStreamOptions, redisStreamConsumer, type StreamEntry } from './redis-stream.js'
