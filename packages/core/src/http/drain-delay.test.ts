/** When traffic may be refused: soon where nobody routes, else once it has ceased, and in any case in time. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { systemClock } from '@breakwater/kernel'
import { FakeClock } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import { delayLeftMs, resolveDrainDelay, waitForQuiet } from './drain-delay.js'

const BEGAN = 1_000
const BUDGET = 24_000
const kubernetes = { KUBERNETES_SERVICE_HOST: '10.0.0.1' }
const quiet = (lastRequestAt = 0, asked = false, toldNotReady = false) => ({
  lastRequestAt: () => lastRequestAt,
  readiness: { asked, toldNotReady },
})

describe('the drain delay', () => {
  it.each([
    ['is none where nobody asks for readiness', {}, {}, quiet(), 0, 0],
    ['is at least `min`, routed to or not', { min: 300 }, {}, quiet(), 100, 200],
    ['in Kubernetes is one quiet period without traffic', {}, kubernetes, quiet(), 0, 1_000],
    ['begins anew with each request', {}, kubernetes, quiet(BEGAN + 700), 900, 800],
    ['does not count requests from before the stop', {}, kubernetes, quiet(BEGAN - 700), 0, 1_000],
    ['ends at `max`, traffic or none', {}, kubernetes, quiet(BEGAN + 4_900), 4_900, 100],
    ['waits for the one who asks for readiness to be told', {}, {}, quiet(0, true), 2_000, 3_000],
    ['ends when that one has been told and nothing has come since', {}, {}, quiet(0, true, true), 1_000, 0],
    ['does not wait for a probe in Kubernetes, which routes without it', {}, kubernetes, quiet(0, true), 1_000, 0],
    ['can be turned off', { max: 0 }, kubernetes, quiet(), 0, 0],
  ] as const)('%s', (_, options, env, traffic, elapsedMs, expected) => {
    expect(delayLeftMs(resolveDrainDelay(options, env), traffic, BEGAN, BUDGET, BEGAN + elapsedMs)).toBe(expected)
  })

  it('takes at most a third of the time', () => {
    expect(delayLeftMs(resolveDrainDelay({ min: '1m' }, {}), quiet(), BEGAN, 1_500, BEGAN)).toBe(500)
  })

  it('notices within a moment that the last word has been said', async () => {
    const clock = new FakeClock()
    const traffic = quiet(0, true)
    const wait = waitForQuiet(resolveDrainDelay({}, {}), traffic, clock, BUDGET, new AbortController().signal)
    await clock.advance(2_000)
    traffic.readiness.toldNotReady = true
    await clock.advance(50)
    await wait
    expect(clock.pendingTimers).toBe(0)
  })

  it('is over at once when force begins', async () => {
    const clock = new FakeClock()
    const controller = new AbortController()
    const wait = waitForQuiet(resolveDrainDelay({ min: '5s' }, {}), quiet(), clock, BUDGET, controller.signal)
    controller.abort()
    await wait
    expect(clock.pendingTimers).toBe(0)
  })

  it('does not take for quiet what the process had no time to look at', async () => {
    let lastRequestAt = 0
    const server = createServer((_, response) => {
      lastRequestAt = systemClock.now()
      response.end()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const wait = waitForQuiet(
      resolveDrainDelay({ quietPeriod: 40 }, kubernetes),
      { lastRequestAt: () => lastRequestAt, readiness: { asked: false, toldNotReady: false } },
      systemClock,
      BUDGET,
      new AbortController().signal,
    )
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write('GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n')
    // As where others have the CPU: the request has arrived, and the quiet period is over.
    for (const until = performance.now() + 100; performance.now() < until; );
    await wait
    expect(lastRequestAt).toBeGreaterThan(0)
    expect(systemClock.now() - lastRequestAt).toBeGreaterThanOrEqual(40)
    socket.destroy()
    await once(server.close(), 'close')
  })
})
