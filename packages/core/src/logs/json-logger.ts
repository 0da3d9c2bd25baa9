/** A logger for those who have none: one line of JSON for each call. */

import type { Logger } from '@breakwater/kernel'
import { traceFields } from './fields.js'

export interface JsonLogger extends Logger {
  debug(fields: object, message: string): void
  error(fields: object, message: string): void
}

const LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR'] as const

export interface JsonLoggerOptions {
  /** Of every line. */
  readonly service: string
  /** The least that is written. Default `'INFO'`. */
  readonly level?: (typeof LEVELS)[number]
  /** Takes a line, with its end. Default: standard output. */
  readonly write?: (line: string) => void
}

/** Returns a logger whose lines have `timestamp, level, service, message`, the trace's ids and the fields of the call. */
export function jsonLogger(options: JsonLoggerOptions): JsonLogger {
  const { service, level: least = 'INFO', write = line => void process.stdout.write(line) } = options
  const at = (level: (typeof LEVELS)[number]): Logger['info'] => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return () => {}
    return (fields, message) => {
      const head = { timestamp: new Date().toISOString(), level, service, message, ...traceFields() }
      write(`${textOf({ ...fields, ...head }, head)}\n`)
    }
  }
  return { debug: at('DEBUG'), info: at('INFO'), warn: at('WARN'), error: at('ERROR') }
}

/** A line is written whatever is in it: what JSON can't hold is left out, down to the head alone. */
function textOf(line: object, head: object): string {
  try {
    return JSON.stringify(line, (_, value) => {
      if (value instanceof Error) return errorOf(value)
      return typeof value === 'bigint' ? String(value) : value
    })
  } catch {
    return JSON.stringify(head)
  }
}

function errorOf(error: Error): object {
  const { name, message, stack, cause } = error
  const { code } = error as { code?: unknown }
  return { type: name, message, ...(code !== undefined && { code }), ...(cause !== undefined && { cause }), stack }
}
