/** Lines of JSON, and the trace they belong to without any OpenTelemetry. */

import { describe, expect, it } from 'vitest'
import { currentTrace, traceparentOf, withTrace } from '../tracing/trace-context.js'
import { jsonLogger } from './json-logger.js'

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

function linesOf(use: (logger: ReturnType<typeof jsonLogger>) => void, level?: 'DEBUG' | 'WARN'): unknown[] {
  const lines: string[] = []
  use(jsonLogger({ service: 'orders', write: line => lines.push(line), ...(level && { level }) }))
  return lines.map(line => JSON.parse(line))
}

describe('the JSON logger', () => {
  it('writes one line a call, with the fields of the call beside its own, which nobody overwrites', () => {
    const lines = linesOf(logger => logger.info({ event: 'x', level: 'mine', n: 1n }, 'hello\nworld'))
    const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    expect(lines).toEqual([
      { timestamp, level: 'INFO', service: 'orders', message: 'hello\nworld', event: 'x', n: '1' },
    ])
  })

  it('writes an error with its code and its cause, and a line whatever is in it', () => {
    const cyclic: Record<string, unknown> = {}
    cyclic.self = cyclic
    const err = Object.assign(new Error('outer', { cause: new TypeError('inner') }), { code: '23505' })
    const lines = linesOf(logger => {
      logger.error({ err }, 'failed')
      logger.warn(cyclic, 'cyclic')
    })
    expect(lines).toMatchObject([
      { level: 'ERROR', err: { type: 'Error', code: '23505', cause: { type: 'TypeError', message: 'inner' } } },
      { level: 'WARN', message: 'cyclic' },
    ])
  })

  it('leaves out what is below its level', () => {
    const use = (logger: ReturnType<typeof jsonLogger>): void => {
      for (const level of ['debug', 'info', 'warn', 'error'] as const) logger[level]({}, level)
    }
    const messages = (lines: unknown[]): unknown[] => lines.map(line => (line as { message: string }).message)
    expect(messages(linesOf(use))).toEqual(['info', 'warn', 'error'])
    expect(messages(linesOf(use, 'WARN'))).toEqual(['warn', 'error'])
    expect(messages(linesOf(use, 'DEBUG'))).toHaveLength(4)
  })

  it('tells the trace that a request came with, however many awaits later', async () => {
    const lines: unknown[] = []
    await withTrace(traceparent, async () => {
      await new Promise(resolve => setImmediate(resolve))
      lines.push(...linesOf(logger => logger.info({}, 'in it')))
    })
    expect(lines).toMatchObject([{ trace_id: '0af7651916cd43dd8448eb211c80319c', trace_flags: '01' }])
    expect(currentTrace()).toBeUndefined()
  })
})

describe('a trace', () => {
  it('goes on under a span of its own, and is sent along so', () => {
    withTrace(traceparent, () => {
      const ids = currentTrace()
      if (!ids) throw new Error('no trace')
      expect(ids.spanId).not.toBe('b7ad6b7169203331')
      expect(traceparentOf(ids)).toBe(`00-0af7651916cd43dd8448eb211c80319c-${ids.spanId}-01`)
    })
  })

  it.each([
    undefined,
    '',
    'nonsense',
    `ff${traceparent.slice(2)}`,
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
    '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
  ])('is a new one for the header %s', header => {
    withTrace(header, () =>
      expect(currentTrace()?.traceId).toMatch(/^(?!0af7651916cd43dd8448eb211c80319c)[0-9a-f]{32}$/),
    )
  })
})
