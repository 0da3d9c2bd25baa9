/** The engine under any order of events: what must hold is checked after every one of them. */

import fc from 'fast-check'
import { it } from 'vitest'
import { World } from '../../test/pool-model.js'

/** A step that is skipped where it makes no sense. */
class Step implements fc.AsyncCommand<object, World> {
  readonly #name: string
  readonly #run: (world: World) => unknown

  constructor(name: string, run: (world: World) => unknown) {
    this.#name = name
    this.#run = run
  }

  check(): boolean {
    return true
  }

  async run(_: object, world: World): Promise<void> {
    await this.#run(world)
    await world.clock.advance(0)
    world.check()
  }

  toString(): string {
    return this.#name
  }
}

/** A step on one of a list, which one drawn at random; skipped when the list is empty. */
function on<I>(name: string, list: (world: World) => readonly I[], run: (world: World, item: I) => unknown) {
  return fc.nat({ max: 9 }).map(
    n =>
      new Step(`${name}(${n})`, world => {
        const items = list(world)
        const item = items[n % items.length]
        return item === undefined ? undefined : run(world, item)
      }),
  )
}

const anyTime = [
  fc.constant(new Step('acquire', world => world.acquire(false))),
  fc.constant(new Step('acquire to share', world => world.acquire(true))),
  fc.nat({ max: 200 }).map(ms => new Step(`acquire(${ms} ms)`, world => world.acquire(false, ms))),
  fc.nat({ max: 200 }).map(ms => new Step(`acquire to share(${ms} ms)`, world => world.acquire(true, ms))),
  fc.boolean().map(
    shared =>
      new Step(`tryAcquire(${shared ? 'to share' : ''})`, world => {
        const lease = world.pool.tryAcquire({ shared })
        if (lease) world.hold(lease, shared)
      }),
  ),
  on(
    'join',
    world => world.held,
    (world, held) => world.join(held),
  ),
  on(
    'join',
    world => world.held,
    (world, held) => world.join(held),
  ),
  on(
    'release',
    world => world.held,
    (world, held) => world.end(held, 'release'),
  ),
  on(
    'release',
    world => world.held,
    (world, held) => world.end(held, 'release'),
  ),
  on(
    'retire lease',
    world => world.held,
    (world, held) => world.end(held, 'retire'),
  ),
  on(
    'retire thing',
    world => world.things,
    (world, thing) => world.retire(thing),
  ),
  on(
    'cancel',
    world => world.callers,
    (_, caller) => caller.controller.abort(),
  ),
  on(
    'create succeeds',
    world => world.creations,
    (world, creation) => world.make(creation),
  ),
  on(
    'create succeeds',
    world => world.creations,
    (world, creation) => world.make(creation),
  ),
  on(
    'create fails',
    world => world.creations,
    (world, creation) => world.fail(creation, false),
  ),
  on(
    'create fails for now',
    world => world.creations,
    (world, creation) => world.fail(creation, true),
  ),
  fc
    .tuple(fc.integer({ min: 1, max: 4 }), fc.nat({ max: 4 }))
    .map(
      ([max, min]) =>
        new Step(`resize(${Math.min(min, max)} to ${max})`, world =>
          world.pool.resize({ max, min: Math.min(min, max) }),
        ),
    ),
  on(
    'validate succeeds',
    world => world.validations,
    (world, validation) => world.validate(validation, true),
  ),
  on(
    'validate fails',
    world => world.validations,
    (world, validation) => world.validate(validation, false),
  ),
  fc.integer({ min: 1, max: 250 }).map(ms => new Step(`tick(${ms} ms)`, world => world.clock.advance(ms))),
  fc.integer({ min: 1, max: 250 }).map(ms => new Step(`tick(${ms} ms)`, world => world.clock.advance(ms))),
  fc.constant(new Step('init', world => world.call('init'))),
]

function stop(name: 'drain' | 'dispose') {
  return fc.nat({ max: 300 }).map(ms => new Step(`${name}(${ms} ms)`, world => world.call(name, ms)))
}

/** Rare, or most runs would be about a pool that has stopped. */
const commands = fc.oneof(
  { weight: 40, arbitrary: fc.oneof(...anyTime) },
  { weight: 1, arbitrary: stop('drain') },
  { weight: 1, arbitrary: stop('dispose') },
)

it('keeps its promises under any order of events', { timeout: 120_000 }, async () => {
  const sequences = fc.commands([commands], { maxCommands: 80, size: 'max' })
  const property = fc.asyncProperty(sequences, fc.boolean(), fc.boolean(), async (steps, factoryAnswers, reclaims) => {
    const world = new World(reclaims)
    await fc.asyncModelRun(() => ({ model: {}, real: world }), steps)
    await world.finish(factoryAnswers)
  })
  await fc.assert(property, { numRuns: 400 })
})
