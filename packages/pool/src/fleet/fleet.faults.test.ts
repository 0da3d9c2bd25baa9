/** What becomes of a fleet when its members come, go, are killed, or lose what they hold, and when its server does. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { buildProgram, eventually } from '@breakwater/testkit'
import { allowLeftovers } from '@breakwater/testkit/vitest'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Instance } from '../../test/fleet-instance.js'
import { USABLE, useInstances, useSmallServer } from '../../test/fleet-kit.js'

const small = useSmallServer()
const CEILING = USABLE - 2 - 1
const WITHIN_MS = 15_000
const locking = 'execute on function pg_try_advisory_lock_shared(bigint), pg_try_advisory_lock_shared(integer, integer)'
const program = await buildProgram(new URL('../../test/fleet.fixture.ts', import.meta.url))

const held = (instances: readonly Instance[]): number => instances.reduce((sum, each) => sum + each.held, 0)
const refused = (instances: readonly Instance[]): number =>
  instances.reduce((sum, each) => sum + (each.pool.stats().fleet?.refused ?? 0), 0)

/** How many slots each backend of the fleet holds. */
async function slots(): Promise<number[]> {
  const rows = await small.query<{ slots: number }>(
    `select (select count(*)::int from pg_locks where pid = a.pid and locktype = 'advisory' and objsubid = 2
      and objid < 1000) as slots from pg_stat_activity a where usename = 'app'`,
  )
  return rows.map(({ slots }) => slots)
}

describe('a member', { timeout: 60_000 }, () => {
  it('that is killed with -9 leaves its slots to the others at once', async () => {
    const child = fork(program.path, [small.url], {
      execArgv: program.execArgv,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const [one] = useInstances(1, { connectionString: small.url, max: 20 }) as [Instance]
    one.load(20)
    let theirs: { held: number; errors: string[] } = { held: 0, errors: [] }
    child.on('message', (told: typeof theirs) => {
      theirs = told
    })
    await eventually(() => expect([one.held, theirs.held]).toEqual([CEILING / 2, CEILING / 2]), WITHIN_MS)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await eventually(() => expect(one.held).toBe(CEILING), WITHIN_MS)
    expect([...one.errors, ...theirs.errors]).toEqual([])
  })

  it('of eight after the other is replaced under load, and the server never refuses a connection', async () => {
    const watch = await small.watch()
    const options = { connectionString: small.url }
    const instances = useInstances(8, options)
    for (const each of instances) each.load(10)
    await eventually(() => expect(held(instances)).toBe(CEILING), WITHIN_MS)
    for (const old of [...instances]) {
      const [next] = useInstances(1, options) as [Instance]
      instances.push(next)
      next.load(10)
      await eventually(() => expect(next.answered).toBeGreaterThan(0), WITHIN_MS)
      await old.stop()
    }
    await eventually(() => expect(held(instances.slice(8))).toBe(CEILING), WITHIN_MS)
    expect(refused(instances)).toBe(0)
    expect(await watch.stop()).toBeLessThanOrEqual(USABLE)
    expect(instances.flatMap(each => each.errors)).toEqual([])
  })

  it('for whom there is no slot waits for one, and is in when another leaves', async () => {
    const options = { connectionString: small.url, fleet: { namespace: 'crowd', keepFree: USABLE - 3 } }
    const [one, other] = useInstances(2, options) as [Instance, Instance]
    for (const each of [one, other]) each.load(3)
    await eventually(() => expect([one.held, other.held]).toEqual([1, 1]), WITHIN_MS)
    const [late] = useInstances(1, { ...options, connectionTimeoutMillis: 3_000 }) as [Instance]
    await expect(late.pool.query('select 1')).rejects.toMatchObject({ code: 'POOL_FLEET_FULL' })
    late.load(1)
    await one.stop()
    await eventually(() => expect(late.answered).toBeGreaterThan(0), WITHIN_MS)
    expect([...one.errors, ...other.errors]).toEqual([])
  })

  it('that is stopped on its way in leaves nothing behind', async () => {
    const options = { connectionString: small.url, fleet: { namespace: 'crowd', keepFree: USABLE - 2 } }
    const [one] = useInstances(1, options) as [Instance]
    one.load(1)
    await eventually(() => expect(one.held).toBe(1), WITHIN_MS)
    const [late] = useInstances(1, options) as [Instance]
    const waiting = late.pool.query('select 1').catch(error => error)
    await eventually(async () => expect(await small.backends()).toBe(2), WITHIN_MS)
    await late.pool.dispose({ deadline: 100 })
    expect(await waiting).toMatchObject({ code: 'POOL_STOPPING' })
    await eventually(async () => expect(await small.backends()).toBe(1), WITHIN_MS)
  })
})

describe('a slot', { timeout: 60_000 }, () => {
  it.each(['DISCARD ALL', 'select pg_advisory_unlock_all()'])('that %s has dropped is taken again', async text => {
    const [one] = useInstances(1, { connectionString: small.url, idleTimeoutMillis: 0 }) as [Instance]
    const lost: unknown[] = []
    one.pool.observe(event => event.type === 'slot-lost' && lost.push(event.isRegained))
    const clients = await Promise.all([one.pool.connect(), one.pool.connect()])
    await clients[0]?.query(text)
    await eventually(async () => expect((await slots()).sort()).toEqual([0, 1]), WITHIN_MS)
    for (const client of clients) client.release()
    await eventually(async () => expect(await slots()).toEqual([1, 1]), WITHIN_MS)
    expect(lost).toEqual([true])
    expect(one.pool.totalCount).toBe(2)
  })

  it('that another has taken meanwhile costs the connection, since it would be one too many', async () => {
    const [one] = useInstances(1, { connectionString: small.url, fleet: { keepFree: USABLE - 1 - 2 } }) as [Instance]
    const [first, second] = await Promise.all([one.pool.connect(), one.pool.connect()])
    const backend = (await first.query('select pg_backend_pid() as pid')).rows[0].pid
    const locks = await small.query<{ key: number; slot: number }>(
      'select classid::int as key, objid::int as slot from pg_locks where pid = $1 and objsubid = 2 and objid < 1000',
      [backend],
    )
    const { key = 0, slot = 0 } = locks[0] ?? {}
    await first.query('select pg_advisory_unlock_all()')
    await small.query('select pg_advisory_lock($1, $2)', [key, slot])
    onTestFinished(async () => void (await small.query('select pg_advisory_unlock($1, $2)', [key, slot])))
    first.release()
    await eventually(() => expect(one.pool.totalCount).toBe(1), WITHIN_MS)
    expect(one.pool.stats()).toMatchObject({ retired: { surplus: 1 }, fleet: { lostSlots: 1, held: 1 } })
    second.release()
  })
})

describe('a server', { timeout: 60_000 }, () => {
  it('that others fill up refuses connections, and no query fails for it', async () => {
    const [one] = useInstances(1, { connectionString: small.url, max: 20, fleet: { keepFree: 0 } }) as [Instance]
    one.load(2)
    await eventually(() => expect(one.held).toBe(2), WITHIN_MS)
    const strangers = Array.from({ length: USABLE - 1 - 2 }, () => new pg.Client(small.url))
    onTestFinished(async () => {
      await Promise.all(strangers.map(each => each.end()))
    })
    await Promise.all(strangers.map(each => each.connect()))
    one.load(20)
    await eventually(() => expect(one.pool.stats().fleet).toMatchObject({ ceiling: 2 }), WITHIN_MS)
    const { answered } = one
    await eventually(() => expect(one.answered).toBeGreaterThan(answered + 20), WITHIN_MS)
    expect(one.errors).toEqual([])
  })

  it('that is full when a first connection is made is waited for', async () => {
    const strangers = Array.from({ length: USABLE - 1 }, () => new pg.Client(small.url))
    await Promise.all(strangers.map(each => each.connect()))
    const [one] = useInstances(1, { connectionString: small.url, connectionTimeoutMillis: 10_000 }) as [Instance]
    const answer = one.pool.query('select 1 as one')
    await eventually(() => expect(refused([one])).toBeGreaterThan(0), WITHIN_MS)
    await Promise.all(strangers.map(each => each.end()))
    expect((await answer).rows).toEqual([{ one: 1 }])
  })

  it('that does not let the fleet be asked leaves each instance one connection', async () => {
    await small.query(`revoke ${locking} from public`)
    onTestFinished(async () => {
      await small.query(`grant ${locking} to public`)
    })
    const [one] = useInstances(1, { connectionString: small.url }) as [Instance]
    const failures: unknown[] = []
    one.pool.observe(event => event.type === 'fleet-failed' && failures.push(event.error))
    one.load(5)
    await eventually(() => expect(one.answered).toBeGreaterThan(10), WITHIN_MS)
    expect(failures).toMatchObject([{ code: '42501' }])
    expect(one.errors).toEqual([])
    expect(one.pool.totalCount).toBe(1)
    await small.query(`grant ${locking} to public`)
    await eventually(() => expect(one.held).toBe(5), WITHIN_MS)
    // A slot may still be held for a connection that is on its way.
    await eventually(async () => expect(await slots()).toEqual([1, 1, 1, 1, 1]), WITHIN_MS)
  })

  it('that hangs or is killed is shared as before when it is back', async () => {
    // The server, and the connection of the test itself.
    allowLeftovers()
    const instances = useInstances(3, { connectionString: small.url, connectionTimeoutMillis: 30_000 })
    for (const each of instances) each.load(10)
    await eventually(() => expect(held(instances)).toBe(CEILING), WITHIN_MS)
    small.server.hang()
    await new Promise(resolve => setTimeout(resolve, 1_000))
    small.server.resume()
    expect(instances.flatMap(each => each.errors)).toEqual([])
    await small.restart()
    await eventually(() => {
      expect(held(instances)).toBe(CEILING)
      for (const each of instances) expect(each.held).toBeGreaterThanOrEqual(CEILING / 3 - 1)
    }, 30_000)
  })
})
