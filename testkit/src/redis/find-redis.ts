/** Finds a Redis program: on PATH, or the one of this Debian or Ubuntu's archive, unpacked beside the project. */

import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { BreakwaterError } from '@breakwater/kernel'
import { unpackRedis } from './unpack-redis.js'

export interface RedisProgram {
  readonly command: string
  readonly env: Record<string, string>
}

const WAYS_OUT =
  'set REDIS_URL to a server of your own, or put redis-server or valkey-server on PATH, or use Debian or Ubuntu with apt-get'

/** @throws {BreakwaterError} kind `failed`, naming the ways out, if there is none. */
export async function findRedis(): Promise<RedisProgram> {
  for (const name of ['redis-server', 'valkey-server']) {
    const command = await which(name)
    if (command) return { command, env: {} }
  }
  const [aptGet, dpkg] = await Promise.all([which('apt-get'), which('dpkg')])
  if (!aptGet || !dpkg) throw noRedis('it is not on PATH')
  try {
    return await unpackRedis()
  } catch (error) {
    throw noRedis(`it is not on PATH, and it could not be taken from the archive (${lastLine(error)})`, error)
  }
}

/** Returns the path of a program that PATH leads to. */
async function which(name: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const path = join(folder, name)
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  return undefined
}

function noRedis(why: string, cause?: unknown): BreakwaterError {
  return new BreakwaterError('failed', 'TESTKIT_NO_REDIS', `no Redis: ${why}; ${WAYS_OUT}`, { cause })
}

/** The line in which apt-get says what it lacks, or else the last one. */
function lastLine(error: unknown): string {
  const lines = String(error instanceof Error ? error.message : error).split('\n')
  return lines.findLast(line => line.startsWith('E:')) ?? lines.at(-1) ?? ''
}
