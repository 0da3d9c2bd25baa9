/** What makes a pino logger's lines the same as those of `jsonLogger`. */

import { traceFields } from './fields.js'

export interface PinoOptions {
  readonly base: { readonly service: string }
  readonly messageKey: 'message'
  readonly timestamp: () => string
  readonly formatters: { readonly level: (label: string) => { level: string } }
  readonly mixin: () => object
}

/** Returns options for `pino()`; spread your own after them. */
export function pinoOptions(service: string): PinoOptions {
  return {
    base: { service },
    messageKey: 'message',
    timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
    formatters: { level: label => ({ level: label.toUpperCase() }) },
    mixin: traceFields,
  }
}
