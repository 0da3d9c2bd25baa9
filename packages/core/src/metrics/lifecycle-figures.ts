/** What the start and the stop come to in figures, counted as they are reported. */

import type { Finding } from '../environment/checks.js'
import type { LifecycleEvent } from '../lifecycle/events.js'
import type { Health } from '../lifecycle/health.js'
import type { Samples } from './sample.js'

const STATES = ['idle', 'starting', 'ready', 'degraded', 'failed', 'stopping', 'stopped']
const COMPONENT_STATES = ['idle', 'starting', 'started', 'degraded', 'failed', 'stopping', 'stopped', 'disabled']

interface StepFigure {
  readonly component: string
  readonly phase: string
  lastMs: number
  failures: number
}

export class LifecycleFigures {
  readonly #steps = new Map<string, StepFigure>()
  #startMs: number | undefined
  #stopMs: number | undefined
  #forced = 0
  #backgroundFailures = 0
  #leftovers: Record<string, number> = {}
  #findings: Record<string, number> = {}

  /** Takes in what the check of the environment has found. */
  found(findings: readonly Finding[]): void {
    this.#findings = { ok: 0, warning: 0, failure: 0, unknown: 0 }
    for (const { level } of findings) this.#findings[level] = (this.#findings[level] ?? 0) + 1
  }

  /** Takes in what the lifecycle reports; to be subscribed to its events. */
  readonly note = (event: LifecycleEvent): void => {
    switch (event.type) {
      case 'lifecycle.step': {
        const { name, phase, durationMs } = event.step
        const figure = this.#step(name, phase)
        figure.lastMs = durationMs
        if (event.error !== undefined) figure.failures++
        return
      }
      case 'lifecycle.ready':
        this.#startMs = event.elapsedMs
        return
      case 'lifecycle.work-failed':
        this.#backgroundFailures++
        return
      case 'lifecycle.forced': {
        const { workCount, running, uncommitted, components } = event.left
        this.#forced++
        this.#leftovers = {
          work: workCount,
          hook: running.length,
          consumer: uncommitted.length,
          component: Object.keys(components).length,
        }
        return
      }
      case 'lifecycle.stopped':
        this.#stopMs = event.elapsedMs
    }
  }

  addTo(samples: Samples, { status, components }: Health, inFlight: number, uptimeMs: number): void {
    samples.addState('breakwater.lifecycle.state', 'breakwater.lifecycle.state', STATES, status)
    for (const [component, { state }] of Object.entries(components)) {
      const labels = { 'breakwater.component': component }
      const label = 'breakwater.lifecycle.state'
      samples.addState('breakwater.lifecycle.component.state', label, COMPONENT_STATES, state, labels)
    }
    for (const { component, phase, lastMs, failures } of this.#steps.values()) {
      const labels = { 'breakwater.component': component, 'breakwater.lifecycle.phase': phase }
      samples.add('breakwater.lifecycle.step.duration', lastMs / 1_000, labels)
      samples.add('breakwater.lifecycle.step.failures', failures, labels)
    }
    samples.add('breakwater.lifecycle.start.duration', seconds(this.#startMs))
    samples.add('breakwater.lifecycle.stop.duration', seconds(this.#stopMs))
    samples.add('breakwater.lifecycle.uptime', uptimeMs / 1_000)
    samples.add('breakwater.lifecycle.in_flight', inFlight)
    samples.add('breakwater.lifecycle.shutdown.forced', this.#forced)
    samples.add('breakwater.lifecycle.background.failures', this.#backgroundFailures)
    for (const [level, count] of Object.entries(this.#findings)) {
      samples.add('breakwater.environment.findings', count, { 'breakwater.environment.level': level })
    }
    for (const [kind, count] of Object.entries(this.#leftovers)) {
      samples.add('breakwater.lifecycle.shutdown.leftover', count, { 'breakwater.lifecycle.kind': kind })
    }
  }

  #step(component: string, phase: string): StepFigure {
    const key = `${component} ${phase}`
    const figure = this.#steps.get(key) ?? { component, phase, lastMs: 0, failures: 0 }
    this.#steps.set(key, figure)
    return figure
  }
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000
}
