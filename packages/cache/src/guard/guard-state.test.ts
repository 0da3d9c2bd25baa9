import { FakeClock } from '@breakwater/testkit'
import { expect, it } from 'vitest'
import { GuardState } from './guard-state.js'

it('counts for how long a guard was open after it had been ready once, whatever opened it', async () => {
  const clock = new FakeClock()
  const state = new GuardState(clock)
  await clock.advance(1_000)
  expect(state).toMatchObject({ value: 'building', open: true, openMs: 0, openings: 0 })
  state.ready()
  const close = state.hold()
  await clock.advance(10)
  expect(state.doubt()).toBe(true)
  expect(state.doubt()).toBe(false)
  close()
  close()
  await clock.advance(20)
  expect(state).toMatchObject({ value: 'suspect', open: true, openMs: 30, openings: 1 })
  state.ready()
  await clock.advance(40)
  expect(state).toMatchObject({ value: 'ready', open: false, openMs: 30 })
})
