/** What OpenTelemetry's own SDK makes of a data access: metrics, spans, and one trace through promises and callbacks. */

import type { Logger } from '@breakwater/kernel'
import { Pool } from '@breakwater/pool'
import type { Database } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  type DataPoint,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest'
import { createDataAccess, type DataAccess, type DataAccessOptions } from './data-access.js'
import { pinoOptions } from './logs/pino-options.js'
import { CATALOG, type MetricName } from './metrics/catalog.js'
import { openTelemetry } from './opentelemetry.js'

let database: Database
const spans = new InMemorySpanExporter()
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
const meterProvider = new MeterProvider({ readers: [reader] })

beforeAll(async () => {
  database = await testPostgres().createDatabase()
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }))
  metrics.setGlobalMeterProvider(meterProvider)
})
afterAll(async () => {
  await meterProvider.shutdown()
  await database.drop()
})
beforeEach(() => spans.reset())

async function start(
  logger?: Logger,
  options: Partial<DataAccessOptions> = {},
): Promise<{ data: DataAccess; reports: Pool }> {
  const data = createDataAccess({
    postgres: { connectionString: database.url, max: 2 },
    redis: { url: testRedis().url },
    cache: { namespace: `otel-${process.pid}` },
    ...(logger && { logger }),
    ...options,
  })
  const reports = new Pool({ connectionString: database.url, name: 'reports' })
  const stop = openTelemetry(data, { pools: [reports] })
  onTestFinished(async () => {
    await Promise.all([data.dispose(), reports.dispose({ deadline: 0 })])
    stop()
  })
  await data.init()
  return { data, reports }
}

async function collected(): Promise<Map<string, MetricData>> {
  exporter.reset()
  await meterProvider.forceFlush()
  const all = exporter.getMetrics().flatMap(each => each.scopeMetrics.flatMap(scope => scope.metrics))
  return new Map(all.map(metric => [metric.descriptor.name, metric]))
}

const of = (metric: MetricData | undefined, attribute: string, value: string): DataPoint<unknown>[] =>
  ((metric?.dataPoints ?? []) as DataPoint<unknown>[]).filter(point => point.attributes[attribute] === value)

it('every metric that is told has its name, its unit and its kind, by pool', async () => {
  const { data, reports } = await start()
  await data.pool.query('select 1')
  await reports.query('select bad').catch(() => undefined)
  const found = await collected()
  for (const name of found.keys()) {
    expect(found.get(name)?.descriptor.unit).toBe(CATALOG[name as MetricName].unit)
  }
  const connections = Object.keys(CATALOG).filter(name => name.startsWith('db.client.connection.'))
  expect([...found.keys()]).toEqual(expect.arrayContaining([...connections, 'db.client.operation.duration']))

  const pool = 'db.client.connection.pool.name'
  const operations = found.get('db.client.operation.duration')
  const [own] = of(operations, pool, 'postgres')
  expect(own).toMatchObject({ value: { count: data.pool.stats().query.count } })
  expect(own?.attributes).toMatchObject({
    'db.system.name': 'postgresql',
    'server.port': Number(new URL(database.url).port),
  })
  const boundaries = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
  expect((own?.value as Histogram | undefined)?.buckets).toMatchObject({ boundaries })
  expect(of(operations, pool, 'reports')[0]).toMatchObject({
    value: { count: 1 },
    attributes: { 'error.type': '42703' },
  })
  expect(of(found.get('db.client.connection.max'), pool, 'reports')).toMatchObject([{ value: 10 }])
  expect(of(found.get('db.client.connection.max'), pool, 'postgres')).toMatchObject([{ value: 2 }])
  const { wait, use } = data.pool.stats()
  expect(of(found.get('db.client.connection.wait_time'), pool, 'postgres')).toMatchObject([
    { value: { count: wait.count } },
  ])
  expect(of(found.get('db.client.connection.use_time'), pool, 'postgres')).toMatchObject([
    { value: { count: use.count } },
  ])
})

it('a query is a span within that of its request, named by what it does, with no value in it', async () => {
  const { data } = await start()
  await data.pool.query('create table users (id int, name text)')
  spans.reset()
  await trace.getTracer('test').startActiveSpan('request', async span => {
    await data.pool.query("select * from users where id = $1 and name = 'secret' and id < 4711", [42])
    await data.pool.query('select nonsense from users').catch(() => undefined)
    span.end()
  })
  const [first, second, request] = spans.getFinishedSpans()
  expect(first).toMatchObject({
    name: 'SELECT users',
    attributes: {
      'db.query.text': 'select * from users where id = $1 and name = ? and id < ?',
      'db.namespace': new URL(database.url).pathname.slice(1),
    },
    parentSpanContext: { spanId: request?.spanContext().spanId },
  })
  expect(second).toMatchObject({ status: { code: 2, message: '42703' }, attributes: { 'error.type': '42703' } })
  expect(JSON.stringify([first, second].map(each => [each?.name, each?.attributes]))).not.toMatch(/secret|4711/)
})

it('a query names its trace to the database, with sqlcommenter; its wait for a connection is a span', async () => {
  const { data } = await start(undefined, { sqlcommenter: { application: 'orders' } })
  const own = 'select query from pg_stat_activity where pid = pg_backend_pid()'
  const holders = await Promise.all([data.pool.connect(), data.pool.connect()])
  spans.reset()
  await trace.getTracer('test').startActiveSpan('request', async span => {
    const { traceId, spanId } = span.spanContext()
    const waiting = data.pool.query(own)
    for (const client of holders) client.release()
    const comment = `/*application='orders',traceparent='00-${traceId}-${spanId}-01'*/`
    expect((await waiting).rows).toEqual([{ query: `${own} ${comment}` }])
    span.end()
  })
  const [acquire, query, request] = spans.getFinishedSpans()
  for (const span of [acquire, query]) {
    expect(span?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId)
  }
  expect([acquire?.name, query?.attributes['db.query.text']]).toEqual(['acquire postgres', own])
  expect((await data.pool.query(own)).rows).toEqual([{ query: `${own} /*application='orders'*/` }])
  expect(() => createDataAccess({ postgres: data.pool, sqlcommenter: true })).toThrow('queryTags')
  expect(() => createDataAccess({ postgres: {}, sqlcommenter: { a: 1 } as never })).toThrow('sqlcommenter')
})

it('a load is a span, and so are the start and the stop with their steps', async () => {
  const { data } = await start()
  const started = spans.getFinishedSpans()
  const whole = started.find(({ name }) => name === 'lifecycle start')
  const postgres = started.find(({ name }) => name === 'postgres')
  expect(postgres?.parentSpanContext?.spanId).toBe(whole?.spanContext().spanId)
  await data.cache.getOrLoad('secret-key', () => 1, { ttl: '1m' })
  const loaded = spans.getFinishedSpans().map(({ name }) => name)
  expect(loaded).toEqual(expect.arrayContaining(['cache load _', 'redis getOrLease']))
  await data.dispose()
  const names = spans.getFinishedSpans().map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(['lifecycle stop', 'postgres (stop)']))
  expect(JSON.stringify(names)).not.toContain('secret-key')
})

it('a line of pino has the trace of the request that caused it, in promises and in callbacks', async () => {
  const lines: Record<string, unknown>[] = []
  const logger = pino(pinoOptions('orders'), { write: (line: string) => void lines.push(JSON.parse(line)) })
  const { data } = await start(logger)
  const traceOf = new Map<string, string>()
  const request = (name: string): Promise<void> =>
    trace.getTracer('test').startActiveSpan(name, async span => {
      traceOf.set(name, span.spanContext().traceId)
      await data.pool.query('select 1')
      logger.info({ event: 'test' }, `${name} promise`)
      await new Promise<void>(resolve => {
        void data.pool.query('select 1', () => {
          logger.info({ event: 'test' }, `${name} pool callback`)
          data.pool.connect((_, client, done) => {
            logger.info({ event: 'test' }, `${name} connect callback`)
            void client?.query('select 1', () => {
              logger.info({ event: 'test' }, `${name} client callback`)
              done()
              resolve()
            })
          })
        })
      })
      span.end()
    })
  // More requests than connections, so that they use each other's.
  const names = ['a', 'b', 'c', 'd', 'e']
  await Promise.all(names.map(request))
  const told = lines.filter(({ event }) => event === 'test')
  expect(told).toHaveLength(20)
  for (const line of told) expect(line.trace_id, String(line.message)).toBe(traceOf.get(String(line.message).charAt(0)))
  expect(told[0]).toMatchObject({
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    level: 'INFO',
    service: 'orders',
    span_id: expect.stringMatching(/^[0-9a-f]{16}$/),
    trace_flags: '01',
  })
})

it('what the pool logs of a caller is in the trace of that caller', async () => {
  const lines: Record<string, unknown>[] = []
  const logger = pino(pinoOptions('orders'), { write: (line: string) => void lines.push(JSON.parse(line)) })
  const { data } = await start(logger)
  const holders = await Promise.all([data.pool.connect(), data.pool.connect()])
  const traces = await Promise.all(
    ['a', 'b'].map(name =>
      trace.getTracer('test').startActiveSpan(name, async span => {
        await data.pool.connect({ timeout: 30 }).catch(() => undefined)
        return span.spanContext().traceId
      }),
    ),
  )
  const told = lines.filter(({ event }) => event === 'pool.acquire_timed_out')
  expect(told.map(line => line.trace_id).toSorted()).toEqual(traces.toSorted())
  expect(told[0]).toMatchObject({ level: 'WARN', pool: 'postgres', message: expect.stringContaining('in vain') })
  for (const client of holders) client.release()
})
