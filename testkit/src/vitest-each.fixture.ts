/** Tests that leave things open, run by `vitest-each.test.ts` to see which of them fail. */

import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, onTestFinished, test } from 'vitest'
import { allowLeftovers, testRedis } from './vitest.js'

const open: { destroy(): void }[] = []

function leak(): void {
  const { port, host } = testRedis()
  open.push(connect(port, host).on('error', () => {}))
}

afterAll(() => {
  for (const socket of open) socket.destroy()
})

test('FAILS: leaves a socket', () => leak())

test('passes: the one after it', () => {})

test('passes: closes a socket as the last thing, which takes a moment', () => {
  const { port, host } = testRedis()
  connect(port, host).end()
})

test('passes: has leave to', () => {
  allowLeftovers()
  leak()
})

test('FAILS: leaves a timer, and the leave was not for this one', () => {
  const timer = setTimeout(() => {}, 3_600_000)
  open.push({ destroy: () => clearTimeout(timer) })
})

describe('a block that has leave to', () => {
  beforeEach(allowLeftovers)
  test('passes: one of it', () => leak())
  test('passes: the other', () => leak())
})

describe('clean-up in hooks', () => {
  let timer: NodeJS.Timeout
  beforeEach(() => {
    timer = setTimeout(() => {}, 3_600_000)
  })
  afterEach(() => clearTimeout(timer))
  test('passes: is waited for', () => {
    const another = setTimeout(() => {}, 3_600_000)
    onTestFinished(() => clearTimeout(another))
  })
})

describe('opened for all', () => {
  beforeAll(() => leak())
  test('passes: is nobody’s', () => {})
})
