/** Answers whoever routes to the instance, or would restart it: is it live, is it ready, has it started. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Health, HealthStatus } from '../lifecycle/health.js'
import type { Readiness } from './drain-delay.js'
import { type Probe, probeOf } from './paths.js'

interface Service {
  readonly isReady: boolean
  health(): Health
}

export class Probes {
  readonly #service: Service
  readonly readiness: Readiness = { asked: false, toldNotReady: false }
  /** Once it has started it has, whatever comes then. */
  #hasStarted = false

  constructor(service: Service) {
    this.#service = service
  }

  /**
   * Answers `GET` and `HEAD` of `/live`, `/ready` and `/startup` with 200 or 503 and the state as JSON. Returns whether
   * it has; if not, the request is somebody else's.
   */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    const probe = probeOf(request)
    if (probe === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) return false
    const health = this.#service.health()
    const ok = this.#judge(probe, health)
    if (probe === 'ready') {
      this.readiness.asked = true
      this.readiness.toldNotReady ||= !ok && health.status === 'stopping'
    }
    const body = JSON.stringify({ probe, ok, ...health })
    response.writeHead(ok ? 200 : 503, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
    response.end(request.method === 'HEAD' ? undefined : body)
    return true
  }

  #judge(probe: Probe, { status }: Health): boolean {
    // Of Postgres and Redis nothing is asked: a restart would not mend them, and all instances would restart at once.
    if (probe === 'live') return status !== 'failed' && status !== 'stopped'
    if (probe === 'ready') return this.#service.isReady
    this.#hasStarted ||= STARTED.includes(status)
    return this.#hasStarted
  }
}

const STARTED: readonly HealthStatus[] = ['ready', 'degraded']
