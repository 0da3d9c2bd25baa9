/** Time that only the test moves. */

import { expect, test } from 'vitest'
import { FakeClock } from './fake-clock.js'

test('time stands still until it is advanced', async () => {
  const clock = new FakeClock(500)
  expect([clock.now(), clock.coarse()]).toEqual([500, 500])
  await clock.advance(250)
  expect([clock.now(), clock.coarse()]).toEqual([750, 750])
})

test('timers fire at their own instants, in the order of these, then in that of their making', async () => {
  const clock = new FakeClock(0)
  const fired: [string, number][] = []
  const note = (name: string) => () => fired.push([name, clock.now()])
  clock.schedule(30, note('late'))
  clock.schedule(10, note('first'))
  clock.schedule(10, note('second'))
  clock.schedule(31, note('never'))
  await clock.advance(30)
  expect(fired).toEqual([
    ['first', 10],
    ['second', 10],
    ['late', 30],
  ])
  expect(clock.pendingTimers).toBe(1)
})

test('a timer that was cancelled does not fire, also when another one cancels it at the same instant', async () => {
  const clock = new FakeClock()
  let fired = 0
  const timers = [clock.schedule(5, () => timers[1]?.cancel()), clock.schedule(5, () => fired++)]
  await clock.advance(10)
  expect(fired).toBe(0)
  expect(clock.pendingTimers).toBe(0)
  timers[0]?.cancel()
})

test('timers that timers and promises schedule on the way fire within the same advance', async () => {
  const clock = new FakeClock(0)
  const sleep = (ms: number) => new Promise<void>(resolve => clock.schedule(ms, resolve))
  const instants: number[] = []
  const work = (async () => {
    await Promise.resolve()
    for (let step = 0; step < 3; step++) {
      await sleep(10)
      await Promise.resolve()
      instants.push(clock.now())
    }
  })()
  await clock.advance(30)
  expect(instants).toEqual([10, 20, 30])
  await work
})

test('when advance resolves, what the last timer set off has run', async () => {
  const clock = new FakeClock()
  let isDone = false
  const manyHops = async (): Promise<void> => {
    for (let hop = 0; hop < 20; hop++) await Promise.resolve()
    isDone = true
  }
  clock.schedule(1, () => void manyHops())
  await clock.advance(1)
  expect(isDone).toBe(true)
})

test('what a timer throws rejects the advance', async () => {
  const clock = new FakeClock()
  clock.schedule(1, () => {
    throw new Error('timer failed')
  })
  await expect(clock.advance(1)).rejects.toThrow('timer failed')
})
