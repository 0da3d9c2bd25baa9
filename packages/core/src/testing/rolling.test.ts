/** Four instances behind a balancer, replaced three times under load, two at once: no request fails, and no acknowledged write is lost. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { buildProgram, eventually, startBalancer } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { expect, it, onTestFinished } from 'vitest'
import { SCHEMA } from './schema.fixture.js'

const service = await buildProgram(new URL('service.fixture.ts', import.meta.url))
const INSTANCES = 4
const ROUNDS = 3
/** How many are stopped at the same moment, with as many there in their place already. */
const AT_ONCE = 2
const EVERY_MS = 5
const MOST_UNDER_WAY = 40

interface Instance {
  readonly child: ChildProcess
  readonly port: number
  readonly exited: Promise<unknown>
}

it('fails no request in three rolling restarts under 200 requests a second', async () => {
  await using database = await testPostgres().createDatabase()
  await database.query(SCHEMA)
  await using balancer = await startBalancer()
  const start = async (): Promise<Instance> => {
    const child = spawn(process.execPath, service.args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, DATABASE_URL: database.url, REDIS_URL: testRedis().url, LABEL: 'rolling', MODE: 'silent' },
    })
    const exited = once(child, 'exit')
    // A test that fails leaves none behind.
    onTestFinished(() => void child.kill('SIGKILL'))
    let output = ''
    child.stdout.on('data', text => {
      output += text
    })
    await eventually(() => /listening on \d+/.test(output), 120_000)
    const port = Number(/listening on (\d+)/.exec(output)?.[1])
    balancer.add(port)
    return { child, port, exited }
  }
  const startMany = (count: number): Promise<Instance[]> => Promise.all(Array.from({ length: count }, start))
  const instances = await startMany(INSTANCES)
  await eventually(() => balancer.ready === INSTANCES, 120_000)

  const failed: string[] = []
  const acknowledged: number[] = []
  const sent: Promise<void>[] = []
  const send = async (n: number): Promise<void> => {
    const response = await fetch(`${balancer.url}/transfer?id=${n}`)
    const text = await response.text()
    if (response.status === 200) acknowledged.push(n)
    else failed.push(`${response.status} ${text}`)
  }
  const load = setInterval(() => {
    // A machine that is busy with others is asked less: what is tested is not how an overload is shed.
    if (sent.length - acknowledged.length < MOST_UNDER_WAY) {
      sent.push(send(sent.length).catch(error => void failed.push(String(error))))
    }
  }, EVERY_MS)

  let next: Promise<Instance[]> | undefined = startMany(AT_ONCE)
  for (let left = INSTANCES * ROUNDS; next !== undefined; left -= AT_ONCE) {
    instances.push(...(await next))
    await eventually(() => balancer.ready === INSTANCES + AT_ONCE, 120_000)
    const old = instances.splice(0, AT_ONCE)
    for (const { child } of old) child.kill('SIGTERM')
    // The next ones come up meanwhile.
    next = left > AT_ONCE ? startMany(AT_ONCE) : undefined
    for (const { child, exited, port } of old) {
      await exited
      balancer.remove(port)
      expect(child.exitCode).toBe(0)
    }
  }
  clearInterval(load)
  await Promise.all(sent)
  for (const { child } of instances) child.kill('SIGTERM')
  await Promise.all(instances.map(each => each.exited))
  // As one text, which a failure shows in full.
  expect(failed.join('\n')).toBe('')
  const rows = await database.query<{ id: number }>('select id from transfers order by id')
  expect(rows.map(row => row.id)).toEqual(acknowledged.sort((a, b) => a - b))
  expect(await database.query('select sum(balance)::int as sum from accounts')).toEqual([{ sum: 1_000 }])
}, 600_000)
