/**
 * Every metric by its OpenTelemetry name, with its kind, its unit and its labels. The exporters, the dashboard and the alert
 * rules know no other names. Source: OpenTelemetry's semantic conventions 1.3x for `db.client.*`; its rules for names for
 * what is ours (`breakwater.*`): by pool, space, component, never by key.
 */

/** `s`: seconds. `By`: bytes. `1`: a state that is (1) or is not (0). In braces: what is counted. */
export interface MetricKind {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly unit: string
  readonly help: string
  readonly labels: readonly string[]
}

const POOL = 'db.client.connection.pool.name'
const SPACE = 'breakwater.cache.space'
const COMPONENT = 'breakwater.component'

function counter(unit: string, help: string, ...labels: string[]): MetricKind {
  return { type: 'counter', unit, help, labels }
}
function gauge(unit: string, help: string, ...labels: string[]): MetricKind {
  return { type: 'gauge', unit, help, labels }
}
function histogram(help: string, ...labels: string[]): MetricKind {
  return { type: 'histogram', unit: 's', help, labels }
}

const OPERATION = ['db.system.name', 'db.namespace', 'server.address', 'server.port', 'error.type']

/** OpenTelemetry's, or ours. */
export type MetricName =
  | 'db.client.operation.duration'
  | 'db.client.connection.count'
  | 'db.client.connection.idle.max'
  | 'db.client.connection.idle.min'
  | 'db.client.connection.max'
  | 'db.client.connection.pending_requests'
  | 'db.client.connection.timeouts'
  | 'db.client.connection.create_time'
  | 'db.client.connection.wait_time'
  | 'db.client.connection.use_time'
  | 'breakwater.pool.connection.creating'
  | 'breakwater.pool.connection.create_failures'
  | 'breakwater.pool.connection.lost'
  | 'breakwater.pool.connection.retired'
  | 'breakwater.pool.rejections'
  | 'breakwater.pool.query.retries'
  | 'breakwater.pool.lease.leaked'
  | 'breakwater.pool.lease.left_in_transaction'
  | 'breakwater.cache.requests'
  | 'breakwater.cache.load.duration'
  | 'breakwater.cache.load.failures'
  | 'breakwater.cache.load.waits'
  | 'breakwater.cache.load.fenced'
  | 'breakwater.cache.redis.bypassed'
  | 'breakwater.cache.poisoned'
  | 'breakwater.cache.load.active'
  | 'breakwater.cache.load.pending'
  | 'breakwater.cache.load.budget'
  | 'breakwater.cache.entry.count'
  | 'breakwater.cache.size'
  | 'breakwater.cache.evictions'
  | 'breakwater.cache.redis.failures'
  | 'breakwater.cache.invalidations'
  | 'breakwater.cache.invalidation.gaps'
  | 'breakwater.cache.following'
  | 'breakwater.guard.state'
  | 'breakwater.guard.entries'
  | 'breakwater.guard.error_rate'
  | 'breakwater.guard.unanswered'
  | 'breakwater.guard.openings'
  | 'breakwater.guard.audits'
  | 'breakwater.guard.false_negatives'
  | 'breakwater.breaker.state'
  | 'breakwater.breaker.transitions'
  | 'breakwater.lifecycle.state'
  | 'breakwater.lifecycle.component.state'
  | 'breakwater.lifecycle.step.duration'
  | 'breakwater.lifecycle.step.failures'
  | 'breakwater.lifecycle.start.duration'
  | 'breakwater.lifecycle.stop.duration'
  | 'breakwater.lifecycle.uptime'
  | 'breakwater.lifecycle.in_flight'
  | 'breakwater.lifecycle.shutdown.forced'
  | 'breakwater.lifecycle.shutdown.leftover'
  | 'breakwater.lifecycle.background.failures'
  | 'breakwater.environment.findings'

export const CATALOG: Readonly<Record<MetricName, MetricKind>> = {
  'db.client.operation.duration': histogram(
    'Duration of queries, from when they have a connection',
    POOL,
    ...OPERATION,
  ),
  'db.client.connection.count': gauge('{connection}', 'Connections by state', POOL, 'db.client.connection.state'),
  'db.client.connection.idle.max': gauge('{connection}', 'The most connections that may be idle', POOL),
  'db.client.connection.idle.min': gauge('{connection}', 'Connections kept open', POOL),
  'db.client.connection.max': gauge('{connection}', 'The most connections that may be open', POOL),
  'db.client.connection.pending_requests': gauge('{request}', 'Callers that wait for a connection', POOL),
  'db.client.connection.timeouts': counter('{timeout}', 'Callers who waited for a connection in vain', POOL),
  'db.client.connection.create_time': histogram('How long connects took', POOL),
  'db.client.connection.wait_time': histogram('How long callers waited who got a connection', POOL),
  'db.client.connection.use_time': histogram('How long connections were lent, to about 10 ms', POOL),

  'breakwater.pool.connection.creating': gauge('{connection}', 'Connects under way', POOL),
  'breakwater.pool.connection.create_failures': counter('{failure}', 'Connects that failed', POOL),
  'breakwater.pool.connection.lost': counter(
    '{connection}',
    'Connections that the server ended, that broke or that gave no answer when asked, idle or in use',
    POOL,
  ),
  'breakwater.pool.connection.retired': counter(
    '{connection}',
    'Connections closed, by reason',
    POOL,
    'breakwater.pool.reason',
  ),
  'breakwater.pool.rejections': counter(
    '{request}',
    'Callers refused at once, or shed from a queue that stays slow',
    POOL,
    'breakwater.pool.reason',
  ),
  'breakwater.pool.query.retries': counter('{query}', 'Queries that had not run and were tried once more', POOL),
  'breakwater.pool.lease.leaked': counter('{lease}', 'Clients held for longer than leakWarningAfter', POOL),
  'breakwater.pool.lease.left_in_transaction': counter('{lease}', 'Clients released inside a transaction', POOL),

  'breakwater.cache.requests': counter(
    '{request}',
    'Reads by what answered them: memory, redis, stale, filtered (by the guard), coalesced, loader',
    SPACE,
    'breakwater.cache.result',
  ),
  'breakwater.cache.load.duration': histogram('Duration of calls of the loader', SPACE),
  'breakwater.cache.load.failures': counter('{load}', 'Loads that failed', SPACE),
  'breakwater.cache.load.waits': counter('{request}', 'Reads that waited for the load of another process', SPACE),
  'breakwater.cache.load.fenced': counter('{load}', 'Loads not kept, since their key was invalidated', SPACE),
  'breakwater.cache.redis.bypassed': counter('{request}', 'Reads that went past a Redis that is down or slow', SPACE),
  'breakwater.cache.poisoned': counter('{entry}', 'Entries in Redis that could not be read, and were removed', SPACE),
  'breakwater.cache.load.active': gauge('{load}', 'Loads under way'),
  'breakwater.cache.load.pending': gauge('{load}', 'Loads that wait for their place in the miss budget'),
  'breakwater.cache.load.budget': gauge('{load}', 'Loads that may run at once'),
  'breakwater.cache.entry.count': gauge('{entry}', 'Entries in memory'),
  'breakwater.cache.size': gauge('By', 'Bytes that the entries in memory are taken to have'),
  'breakwater.cache.evictions': counter('{entry}', 'Entries that left memory for lack of room'),
  'breakwater.cache.redis.failures': counter('{operation}', 'Operations of Redis that failed, hung or were not tried'),
  'breakwater.cache.invalidations': counter('{entry}', 'Entries of the invalidation log taken'),
  'breakwater.cache.invalidation.gaps': counter('{gap}', 'Times that memory was emptied, to miss no invalidation'),
  'breakwater.cache.following': gauge('1', 'Whether the invalidation log is heard'),

  'breakwater.guard.state': gauge('1', 'Which state the guard of a space is in', SPACE, 'breakwater.guard.state'),
  'breakwater.guard.entries': gauge('{entry}', 'Keys in the filter', SPACE),
  'breakwater.guard.error_rate': gauge('1', 'Part of the absent keys that the filter lets through', SPACE),
  'breakwater.guard.unanswered': counter('{request}', 'Reads let through, since Redis did not answer', SPACE),
  'breakwater.guard.openings': counter('{opening}', 'Times that every read was let through', SPACE),
  'breakwater.guard.audits': counter('{audit}', 'Answers looked up in the database', SPACE),
  'breakwater.guard.false_negatives': counter(
    '{audit}',
    'Answers looked up that were wrong: never, or rows come in past the guard',
    SPACE,
  ),

  'breakwater.breaker.state': gauge(
    '1',
    'Which state a breaker is in',
    'breakwater.breaker.name',
    'breakwater.breaker.state',
  ),
  'breakwater.breaker.transitions': counter(
    '{transition}',
    'Times that a breaker came to a state',
    'breakwater.breaker.name',
    'breakwater.breaker.state',
  ),

  'breakwater.lifecycle.state': gauge('1', 'Which state the service is in', 'breakwater.lifecycle.state'),
  'breakwater.lifecycle.component.state': gauge(
    '1',
    'Which state a component is in',
    COMPONENT,
    'breakwater.lifecycle.state',
  ),
  'breakwater.lifecycle.step.duration': gauge(
    's',
    'How long a step of the start or the stop took',
    COMPONENT,
    'breakwater.lifecycle.phase',
  ),
  'breakwater.lifecycle.step.failures': counter(
    '{step}',
    'Steps that failed or ran out of time',
    COMPONENT,
    'breakwater.lifecycle.phase',
  ),
  'breakwater.lifecycle.start.duration': gauge('s', 'From init() to ready'),
  'breakwater.lifecycle.stop.duration': gauge('s', 'From dispose() to stopped'),
  'breakwater.lifecycle.uptime': gauge('s', 'Since the process began'),
  'breakwater.lifecycle.in_flight': gauge('{request}', 'Requests and tracked work under way'),
  'breakwater.lifecycle.shutdown.forced': counter('{shutdown}', 'Stops that were not over in time'),
  'breakwater.lifecycle.shutdown.leftover': gauge(
    '{item}',
    'What a forced stop found, by kind',
    'breakwater.lifecycle.kind',
  ),
  'breakwater.lifecycle.background.failures': counter('{work}', 'Background work that failed'),
  'breakwater.environment.findings': gauge(
    '{finding}',
    'What the check of the environment found',
    'breakwater.environment.level',
  ),
}

/** The name under which Prometheus knows a metric. Source: OpenTelemetry's compatibility rules for Prometheus. */
export function prometheusName(name: MetricName): string {
  const { type, unit } = CATALOG[name]
  const base = name.replaceAll('.', '_')
  const suffix = unit === 's' ? '_seconds' : unit === 'By' ? '_bytes' : ''
  return `${base}${suffix}${type === 'counter' ? '_total' : ''}`
}

export function prometheusLabel(label: string): string {
  return label.replaceAll('.', '_')
}
