export { currentTrace, type TraceIds, traceparentOf, withTrace } from '../tracing/trace-context.js'
export { traceFields } from './fields.js'
export { type JsonLogger, type JsonLoggerOptions, jsonLogger } from './json-logger.js'
export { type PinoOptions, pinoOptions } from './pino-options.js'
