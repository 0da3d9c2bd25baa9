/** Takes Redis from the archive of Debian or Ubuntu. */

import { join } from 'node:path'
import { unpackPackage } from '../process/debian-package.js'
import type { RedisProgram } from './find-redis.js'

/** Programs and libraries; of what else the package asks for (accounts, service files), a server by hand needs nothing. */
const NEEDED = /^(redis|lib|lua)/

/** Returns the unpacked program and how to start it. */
export async function unpackRedis(): Promise<RedisProgram> {
  const { root, env } = await unpackPackage('redis-server', NEEDED)
  return { command: join(root, 'usr', 'bin', 'redis-server'), env }
}
