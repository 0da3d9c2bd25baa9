/** A timeline read, printed and drawn: what Mermaid, Perfetto and a tracer are given of it. */

// @ts-expect-error its types are a package of their own
import { JSDOM } from 'jsdom'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { add, after, clock, failAfter, lifecycle, outcomeOf, part, setStage } from '../lifecycle/stage.fixture.js'
import { criticalPath, halvesOf } from './halves.js'
import type { TimelineStep } from './record.js'
import { spansOf } from './spans.js'
import { Timeline } from './timeline.js'

beforeEach(() => setStage())

/** Two levels; the longer way is over `slow`. Its names are not what Mermaid likes. */
async function startAndStop(): Promise<Timeline> {
  add(
    part('slow', [], 300, {
      start: async ({ step }) => {
        await step('connections: 4', () => after(250))
        await step('warm-up query', () => after(50))
      },
    }),
    part('fast; #1', [], 20),
    part('orders "v2" <b>', ['slow', 'fast; #1'], 40, { drain: () => after(5), ready: () => {} }),
    part('off', [], 1, { enabled: false }),
  )
  const init = outcomeOf(lifecycle.init())
  await clock.advance(1_000)
  const dispose = outcomeOf(lifecycle.dispose())
  await clock.advance(1_000)
  expect([init.error, dispose.error]).toEqual([undefined, undefined])
  return lifecycle.timeline()
}

async function failedStart(): Promise<Timeline> {
  add(part('base', [], 10), part('broken', ['base'], 10, { start: () => failAfter(7, 'boom') }))
  const init = outcomeOf(lifecycle.init())
  await clock.advance(1_000)
  expect(init.error).toMatchObject({ code: 'INIT_FAILED' })
  return lifecycle.timeline()
}

const names = (steps: Iterable<TimelineStep>): string[] => [...steps].map(step => `${step.name} ${step.phase}`)

describe('a timeline', () => {
  it('is drawn along what each step needs, without what another way shows already', () => {
    const at = (name: string, startMs: number): TimelineStep => ({
      ...{ name, phase: 'start', startMs, durationMs: 10, outcome: 'ok' },
    })
    const needs = new Map([
      ['cache', ['db']],
      ['http', ['db', 'cache']],
    ])
    const drawn = new Timeline([], [at('db', 0), at('cache', 10), at('http', 20)], needs).toMermaid('flowchart')
    expect(drawn.match(/^ {2}\w+ --> \w+$/gm)).toEqual(['  s0 --> s1', '  s1 --> s2', '  s2 --> fin'])
  })

  it('marks the steps without which it would have been shorter', async () => {
    const [start, stop] = halvesOf(await startAndStop())
    if (!start || !stop) throw new Error('a half is missing')
    expect(names(criticalPath(start)).toReversed()).toEqual([
      'slow start',
      'orders "v2" <b> start',
      'orders "v2" <b> ready',
    ])
    expect(names(criticalPath(stop)).toReversed()).toEqual([
      'orders "v2" <b> drain',
      'orders "v2" <b> stop',
      'slow stop',
    ])
  })

  it('is printed as a tree, with times, outcomes and what a hook took for a step', async () => {
    expect(String(await startAndStop())).toBe(`start: 340 ms
* ├─ slow                       1000 +   300 ms
  │  ├─ connections: 4          1000 +   250 ms
  │  └─ warm-up query           1250 +    50 ms
  ├─ fast; #1                   1000 +    20 ms
  ├─ off                        1000 +     0 ms  skipped
* ├─ orders "v2" <b>            1300 +    40 ms
* └─ orders "v2" <b> (ready)    1340 +     0 ms

stop: 345 ms
* ├─ orders "v2" <b> (drain)    2000 +     5 ms
* ├─ orders "v2" <b> (stop)     2005 +    40 ms
* ├─ slow (stop)                2045 +   300 ms
  └─ fast; #1 (stop)            2045 +    20 ms`)
  })

  it('says what failed and why', async () => {
    expect(String(await failedStart())).toContain('! └─ broken')
    expect(String(lifecycle.timeline())).toContain('failed: Error')
  })

  it('is plain data to JSON', async () => {
    const timeline = await startAndStop()
    const { steps, needs } = JSON.parse(JSON.stringify(timeline)) as Timeline
    expect(steps).toEqual(timeline.steps)
    expect(needs['orders "v2" <b>']).toEqual(['slow', 'fast; #1'])
    expect(steps[0]?.steps).toMatchObject([
      { name: 'connections: 4', durationMs: 250, outcome: 'ok' },
      { name: 'warm-up query', durationMs: 50 },
    ])
  })
})

describe('Mermaid', () => {
  let mermaid: { parse(text: string): Promise<{ diagramType: string }> }
  beforeAll(async () => {
    // Its sanitizer needs a document; its parser does not.
    const { window } = new JSDOM('')
    Object.assign(globalThis, { window, document: window.document })
    mermaid = (await import('mermaid')).default
  })

  it('parses the gantt diagram of a start and a stop, critical path marked', async () => {
    const text = (await startAndStop()).toMermaid()
    expect(await mermaid.parse(text)).toMatchObject({ diagramType: 'gantt' })
    expect(text).toContain('section start (340 ms)')
    expect(text).toContain('slow 300 ms :crit, start0, 1000, 1300')
    expect(text).toContain('fast   1 20 ms :done, ')
    expect(text).toContain('section stop (345 ms)')
  })

  it('parses the flowcharts, with milliseconds on each node', async () => {
    const timeline = await startAndStop()
    for (const half of ['start', 'stop'] as const) {
      const text = timeline.toMermaid('flowchart', half)
      expect(await mermaid.parse(text)).toMatchObject({ diagramType: 'flowchart-v2' })
    }
    const start = timeline.toMermaid('flowchart')
    expect(start).toContain('s0["slow<br/>300 ms<br/>– connections: 4 250 ms<br/>– warm-up query 50 ms"]')
    expect(start).toContain('"orders #34;v2#34; #60;b#62;<br/>40 ms"')
    expect(start).toContain('s0 --> s3\n  s1 --> s3')
    expect(start).toContain('fin(["ready<br/>340 ms"])')
    expect(start).toContain('class s0,s3,s4 critical')
  })

  it('parses those of a start that failed, the failed node marked', async () => {
    const timeline = await failedStart()
    const text = timeline.toMermaid('flowchart')
    expect(await mermaid.parse(text)).toMatchObject({ diagramType: 'flowchart-v2' })
    expect(text).toContain('s1["broken<br/>7 ms<br/>failed Error"]')
    expect(text).toContain('class s1 failed')
    expect(text).toContain('fin(["failed<br/>')
    expect(await mermaid.parse(timeline.toMermaid())).toMatchObject({ diagramType: 'gantt' })
  })

  it('refuses what is none, so that these tests can fail', async () => {
    await expect(mermaid.parse('flowchart TD\n  a[["oops\n')).rejects.toThrow('Parse error')
  })

  it('parses a timeline in which nothing is yet', async () => {
    const timeline = new Timeline([], [])
    expect(await mermaid.parse(timeline.toMermaid('flowchart'))).toBeTruthy()
    expect([String(timeline), timeline.toChromeTrace().traceEvents]).toEqual(['', []])
  })
})

describe('what others are given', () => {
  it('is a Chrome trace in us, a row for each component, inner steps within their hook', async () => {
    const { traceEvents } = (await startAndStop()).toChromeTrace()
    expect(traceEvents.filter(({ ph }) => ph === 'M').map(({ args }) => args.name)).toContain('slow')
    const [hook, inner] = traceEvents.filter(({ ph, tid }) => ph === 'X' && tid === 0)
    expect(hook).toMatchObject({ name: 'slow', cat: 'start', ts: 1_000_000, dur: 300_000, args: { outcome: 'ok' } })
    expect(inner).toMatchObject({ name: 'connections: 4', ts: 1_000_000, dur: 250_000 })
  })

  it('is spans within one, on the wall clock, with the failure of those that failed', async () => {
    const { name, startTime, endTime, within } = spansOf(await failedStart(), 'start')
    expect({ name, ms: endTime - startTime }).toEqual({ name: 'lifecycle start', ms: 17 })
    expect(within.map(span => [span.name, span.failure])).toEqual([
      ['base', undefined],
      ['broken', 'Error'],
    ])
    expect(Math.abs(startTime - performance.timeOrigin)).toBeLessThan(10_000)
  })
})
