/** The door: who is counted, who is let in when, and what is told of them. */

import { setTimeout as sleep } from 'node:timers/promises'
import { FakeClock } from '@breakwater/testkit'
import { beforeEach, describe, expect, it } from 'vitest'
import { InFlight } from './in-flight.js'

let clock: FakeClock
let inFlight: InFlight
beforeEach(() => {
  clock = new FakeClock()
  inFlight = new InFlight(clock)
})

const failures: unknown[] = []
const fail = (error: unknown): void => void failures.push(error)

describe('tracked work', () => {
  it('is counted until it settles, and settles as it does', async () => {
    const good = inFlight.track('good', async () => 7)
    const bad = inFlight.track('bad', () => Promise.reject(new Error('own')))
    const atOnce = inFlight.track('at once', () => {
      throw new Error('thrown')
    })
    // What threw at once was over at once.
    expect(inFlight.foreground.size).toBe(2)
    expect(await good).toBe(7)
    await expect(bad).rejects.toThrow('own')
    await expect(atOnce).rejects.toThrow('thrown')
    await inFlight.foreground.idle()
    expect(inFlight.left()).toEqual([])
  })

  it('is refused once the door is closed, unless it belongs to work inside', async () => {
    let open = (): void => {}
    const gate = new Promise<void>(resolve => {
      open = resolve
    })
    const outer = inFlight.track('outer', async () => {
      await gate
      // Through a timer and a callback, as far as the context goes.
      await sleep(1)
      return inFlight.track('inner', () => inFlight.current?.name)
    })
    inFlight.drain()
    await inFlight.track('while traffic still comes', () => {})
    inFlight.closeToOutside()
    await expect(inFlight.track('stray', () => {})).rejects.toMatchObject({ kind: 'rejected', code: 'DRAINING' })
    open()
    expect(await outer).toBe('inner')
    inFlight.close()
    await expect(inFlight.track('late', () => {})).rejects.toMatchObject({ code: 'DRAINING' })
  })

  it('hears when the stop begins, and when it goes on by force', async () => {
    const heard: string[] = []
    void inFlight.track('loop', ({ draining, signal }) => {
      draining.addEventListener('abort', () => heard.push('draining'))
      signal.addEventListener('abort', () => heard.push('force'))
    })
    inFlight.drain()
    expect(heard).toEqual(['draining'])
    inFlight.force()
    expect(heard).toEqual(['draining', 'force'])
  })
})

describe('detached work', () => {
  it('is counted apart, and its failure is told, a refusal too', async () => {
    failures.length = 0
    inFlight.detach('broken', () => Promise.reject(new Error('own')), fail)
    expect([inFlight.foreground.size, inFlight.background.size]).toEqual([0, 1])
    await inFlight.background.idle()
    inFlight.close()
    inFlight.detach('late', () => {}, fail)
    expect(failures).toMatchObject([{ message: 'own' }, { code: 'DRAINING' }])
    expect(inFlight.background.size).toBe(0)
  })

  it('belongs to the trace of the request that detached it', async () => {
    const over: (() => void)[] = []
    const trace = 'f'.repeat(32)
    let end = (): void => {}
    inFlight.request(
      'GET /',
      () => trace,
      done => {
        over.push(done)
        inFlight.detach('audit', () => new Promise<void>(resolve => (end = resolve)), fail)
      },
    )
    await clock.advance(500)
    expect(inFlight.left()).toEqual([
      { kind: 'request', name: 'GET /', ageMs: 500, traceId: trace },
      { kind: 'background', name: 'audit', ageMs: 500, traceId: trace },
    ])
    over[0]?.()
    over[0]?.()
    end()
    await Promise.all([inFlight.foreground.idle(), inFlight.background.idle()])
  })
})
