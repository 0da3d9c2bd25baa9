/** What is done to the guard while it is asked, one after the other. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { SoakFleet } from './soak-fleet.js'
import type { SoakServers } from './soak-servers.js'

export interface SoakFault {
  readonly name: string
  /** Resolves when it is over; what it has broken may take longer to mend. */
  inject(servers: SoakServers, fleet: SoakFleet): Promise<void>
}

const keysLike = (servers: SoakServers, pattern: string): Promise<string[]> => servers.run(redis => redis.keys(pattern))

async function remove(servers: SoakServers, pattern: string): Promise<void> {
  const keys = await keysLike(servers, pattern)
  if (keys.length === 0) throw new Error(`no key like ${pattern}`)
  await servers.run(redis => redis.del(keys))
}

export const soakFaults: readonly SoakFault[] = [
  { name: 'rebuild under load', inject: (_, fleet) => fleet.rebuild(0) },
  {
    name: 'Redis flushed',
    inject: async servers => void (await servers.run(redis => redis.flushall())),
  },
  { name: 'header evicted', inject: servers => remove(servers, '*:g:item:header') },
  { name: 'bits evicted', inject: servers => remove(servers, '*:g:item:*:0') },
  { name: 'log evicted', inject: servers => remove(servers, '*:log') },
  {
    name: 'Redis restarted',
    async inject(servers) {
      await servers.master.kill()
      await sleep(500)
      await servers.master.start()
    },
  },
  {
    name: 'Redis hangs for 2 s',
    async inject(servers) {
      servers.master.hang()
      await sleep(2_000)
      servers.master.resume()
    },
  },
  {
    name: 'Redis hangs for 5 s',
    async inject(servers) {
      servers.master.hang()
      await sleep(5_000)
      servers.master.resume()
    },
  },
  { name: 'failover that loses 300 ms', inject: servers => servers.failOver(300) },
  {
    name: 'one instance cut from Redis for 6 s',
    async inject(servers) {
      const way = servers.ways[1]
      way?.refuse()
      way?.cut()
      await sleep(6_000)
      await way?.heal()
    },
  },
  {
    name: 'one instance frozen for 10 s',
    async inject(_, fleet) {
      fleet.signal(2, 'SIGSTOP')
      await sleep(10_000)
      fleet.signal(2, 'SIGCONT')
    },
  },
  { name: 'one instance ended and started', inject: (_, fleet) => fleet.restart(3, 'in order') },
  { name: 'one instance killed and started', inject: (_, fleet) => fleet.restart(0, 'killed') },
]
