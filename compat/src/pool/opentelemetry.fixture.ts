/** A service under OpenTelemetry's instrumentation of pg, which prints what that saw. Arguments: which pool, the database's URL. */

import { createRequire } from 'node:module'
import { metrics, trace } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node'
import type pg from 'pg'

const [contender, url] = process.argv.slice(2)
const require = createRequire(import.meta.url)

const spans = new InMemorySpanExporter()
const tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 })
const meterProvider = new MeterProvider({ readers: [reader] })
tracerProvider.register()
metrics.setGlobalMeterProvider(meterProvider)

// First the instrumentation, then what it instruments, as its documentation asks for.
const { PgInstrumentation } = require('@opentelemetry/instrumentation-pg')
const instrumentation = new PgInstrumentation()
instrumentation.setTracerProvider(tracerProvider)
instrumentation.setMeterProvider(meterProvider)
instrumentation.enable()
const Pool: typeof pg.Pool = contender === 'pg' ? require('pg').Pool : await ours()

async function ours(): Promise<typeof pg.Pool> {
  require('pg')
  return (await import('@breakwater/pool')).Pool
}

const pool = new Pool({ connectionString: url, max: 2 })
const tracer = trace.getTracer('service')

async function inSpan(name: string, work: () => Promise<unknown>): Promise<void> {
  await tracer.startActiveSpan(name, async span => {
    await work()
    span.end()
  })
}

await inSpan('a query', () => pool.query('select 1 as one'))
await inSpan('a query by callback', () => new Promise(resolve => pool.query('select 2 as two', resolve)))
await inSpan('a query that fails', () => pool.query('select nothing').catch(() => undefined))
await inSpan('a client', async () => {
  const client = await pool.connect()
  await client.query('select 3 as three')
  client.release()
})
await inSpan('three at once', () => Promise.all([1, 2, 3].map(() => pool.query('select pg_sleep(0.02)'))))
await reader.forceFlush()
await pool.end()

const finished = spans.getFinishedSpans()
const path = (span: ReadableSpan): string => {
  const parent = finished.find(each => each.spanContext().spanId === span.parentSpanContext?.spanId)
  return parent ? `${path(parent)} > ${span.name}` : span.name
}
for (const line of finished.map(path).sort()) console.log(line)
const instruments = measured.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(scope => scope.metrics))
for (const line of instruments.map(({ descriptor }) => descriptor.name).sort()) console.log(line)
