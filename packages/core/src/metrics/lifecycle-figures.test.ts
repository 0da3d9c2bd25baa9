/** What is counted of the start and the stop. */

import { expect, it } from 'vitest'
import type { Leftovers, LifecycleEvent } from '../lifecycle/events.js'
import type { MetricName } from './catalog.js'
import { LifecycleFigures } from './lifecycle-figures.js'
import { Samples } from './sample.js'

const STEP = { name: 'db', phase: 'stop', startMs: 0, durationMs: 250, outcome: 'failed' } as const

function told(figures: LifecycleFigures) {
  const samples = new Samples()
  figures.addTo(samples, { status: 'stopping', components: { db: { state: 'failed' } } } as never, 3, 9_000)
  return (name: MetricName, labels: Record<string, string> = {}): unknown =>
    samples.all.find(
      each => each.name === name && Object.entries(labels).every(([key, value]) => each.labels[key] === value),
    )?.value
}

it('steps are told by component and phase: the last duration, and how often they went wrong', () => {
  const figures = new LifecycleFigures()
  figures.note({ type: 'lifecycle.step', step: { ...STEP, durationMs: 100 }, error: new Error('once') })
  figures.note({ type: 'lifecycle.step', step: STEP, error: new Error('twice') })
  figures.note({ type: 'lifecycle.step', step: { ...STEP, phase: 'start', outcome: 'ok' } })
  const of = told(figures)
  const stop = { 'breakwater.component': 'db', 'breakwater.lifecycle.phase': 'stop' }
  expect(of('breakwater.lifecycle.step.duration', stop)).toBe(0.25)
  expect(of('breakwater.lifecycle.step.failures', stop)).toBe(2)
  expect(of('breakwater.lifecycle.step.failures', { ...stop, 'breakwater.lifecycle.phase': 'start' })).toBe(0)
})

it('a stop by force is counted with what it found, and detached work that failed', () => {
  const figures = new LifecycleFigures()
  expect(told(figures)('breakwater.lifecycle.stop.duration')).toBeUndefined()
  const left = {
    workCount: 5,
    running: ['a (drain)', 'b (drain)'],
    uncommitted: ['jobs'],
    components: { postgres: {} },
  }
  const events: LifecycleEvent[] = [
    { type: 'lifecycle.ready', elapsedMs: 1_500, degraded: [] },
    { type: 'lifecycle.work-failed', name: 'audit', error: new Error() },
    { type: 'lifecycle.forced', elapsedMs: 900, left: left as unknown as Leftovers },
    { type: 'lifecycle.stopped', elapsedMs: 2_000, failures: 1, forced: true },
  ]
  for (const event of events) figures.note(event)
  const of = told(figures)
  const leftover = (kind: string): unknown =>
    of('breakwater.lifecycle.shutdown.leftover', { 'breakwater.lifecycle.kind': kind })
  expect(['work', 'hook', 'consumer', 'component'].map(leftover)).toEqual([5, 2, 1, 1])
  expect(of('breakwater.lifecycle.shutdown.forced')).toBe(1)
  expect(of('breakwater.lifecycle.background.failures')).toBe(1)
  expect(of('breakwater.lifecycle.start.duration')).toBe(1.5)
  expect(of('breakwater.lifecycle.stop.duration')).toBe(2)
  expect(of('breakwater.lifecycle.in_flight')).toBe(3)
  expect(of('breakwater.lifecycle.uptime')).toBe(9)
  expect(of('breakwater.lifecycle.component.state', { 'breakwater.lifecycle.state': 'failed' })).toBe(1)
})
