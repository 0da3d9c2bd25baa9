/**
 * Takes Redis from the archive of Debian or Ubuntu without installing it: the packages are downloaded and unpacked into
 * the cache folder, once. Needs no root.
 */

import { existsSync, readdirSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { buildOnce, cachePath, makeRunFolder } from '../process/folders.js'
import { runProgram } from '../process/run-program.js'
import type { RedisProgram } from './find-redis.js'

/** Programs and libraries; of what else the package asks for (accounts, service files), a server by hand needs nothing. */
const NEEDED = /^(redis|lib|lua)/

/** Returns the unpacked program and how to start it. */
export async function unpackRedis(): Promise<RedisProgram> {
  const root = await buildOnce(cachePath(`redis-${process.platform}-${process.arch}`), async target => {
    await mkdir(target, { recursive: true })
    const downloads = join(target, 'downloads')
    await mkdir(downloads)
    await download(downloads)
    for (const file of await readdir(downloads)) await runProgram('dpkg', ['-x', join(downloads, file), target])
    await rm(downloads, { recursive: true })
  })
  return {
    command: join(root, 'usr', 'bin', 'redis-server'),
    env: { LD_LIBRARY_PATH: libraryFolders(root).join(':') },
  }
}

/** Downloads with the machine's own package lists; where those are missing or out of date, with fresh ones of our own. */
async function download(folder: string): Promise<void> {
  try {
    await downloadWith([], folder)
  } catch {
    await using lists = await makeRunFolder('apt')
    const options = [
      ...['-o', `Dir::State=${lists.path}/state`, '-o', `Dir::Cache=${lists.path}/cache`],
      // Root would hand the work to an account that cannot enter this folder.
      ...['-o', 'APT::Sandbox::User=root'],
    ]
    await mkdir(join(lists.path, 'state', 'lists', 'partial'), { recursive: true })
    await mkdir(join(lists.path, 'cache', 'archives', 'partial'), { recursive: true })
    await runProgram('apt-get', [...options, 'update'], { cwd: folder })
    await downloadWith(options, folder)
  }
}

async function downloadWith(options: readonly string[], folder: string): Promise<void> {
  // Simulated, an install needs no rights and names exactly what this machine lacks.
  const plan = await runProgram('apt-get', [
    ...options,
    '--simulate',
    '--no-install-recommends',
    'install',
    'redis-server',
  ])
  const missing = [...plan.matchAll(/^Inst (\S+)/gm)].map(match => match[1] ?? '')
  await runProgram('apt-get', [...options, 'download', ...missing.filter(name => NEEDED.test(name))], { cwd: folder })
}

function libraryFolders(root: string): string[] {
  return ['lib', 'usr/lib'].flatMap(part => {
    const base = join(root, part)
    if (!existsSync(base)) return []
    const multiarch = readdirSync(base).filter(name => name.includes('-linux-gnu'))
    return multiarch.map(name => join(base, name))
  })
}
