/** Components that cannot be ordered, or are wrong by themselves, are all named in one error before anything starts. */

import type { BreakwaterError } from '@breakwater/kernel'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Component } from './component.js'
import { add, lifecycle, part, seen, setStage } from './stage.fixture.js'

beforeEach(() => setStage())

describe('bad components', () => {
  it.each([
    [
      'a cycle, with its path',
      [part('a', ['c']), part('b', ['a']), part('c', ['b']), part('d', ['a'])],
      ['a -> c -> b -> a is a cycle'],
    ],
    ['one that needs itself', [part('a', ['a'])], ['a -> a is a cycle']],
    [
      'two cycles',
      [part('a', ['b']), part('b', ['a']), part('x', ['y', 'a']), part('y', ['x'])],
      ['a -> b -> a', 'x -> y -> x'],
    ],
    [
      'a name that is not there',
      [part('a', ['postgre']), part('postgres')],
      ['"a" depends on "postgre"', 'there are: a, postgres'],
    ],
    ['a name taken twice', [part('a'), part('a')], ['"a" is the name of two components']],
    [
      'every bad option',
      [
        part('a', [], 1, { startTimeout: '10' as never }),
        part('b', [], 1, { stop: 1 as never, stratTimeout: 1 } as never),
      ],
      ['"a": startTimeout', '"b": stop must be a function', '"b": stratTimeout is not an option'],
    ],
    ['a missing name and a cycle together', [part('a', ['nobody']), part('b', ['b'])], ['"nobody"', 'b -> b']],
  ])('are refused before anything starts: %s', async (_, components, messages) => {
    add(...components)
    const error = await lifecycle.init().catch((thrown: BreakwaterError) => thrown)
    expect(error).toMatchObject({ kind: 'usage', code: 'COMPONENTS_INVALID' })
    for (const message of messages) expect((error as Error).message).toContain(message)
    expect(seen).toEqual([])
    await lifecycle.dispose()
  })

  it('may be a class that keeps its state beside the options', async () => {
    class Server implements Component {
      readonly name = 'server'
      listening = false
      start(): void {
        this.listening = true
      }
    }
    const server = new Server()
    add(server)
    await lifecycle.init()
    expect(server.listening).toBe(true)
  })
})
