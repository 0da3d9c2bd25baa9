/**
 * Takes a program from the archive of Debian or Ubuntu without installing it: its packages are downloaded and unpacked into
 * the cache folder, once. Needs no root.
 */

import { existsSync, readdirSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { buildOnce, cachePath, makeRunFolder } from './folders.js'
import { runProgram } from './run-program.js'

export interface UnpackedPackage {
  /** The folder that takes the place of `/`. */
  readonly root: string
  /** What its programs need to find their libraries. */
  readonly env: Record<string, string>
}

/** @param needed names those of the packages it depends on without which it does not run. */
export async function unpackPackage(name: string, needed: RegExp): Promise<UnpackedPackage> {
  const root = await buildOnce(cachePath(`${name}-${process.platform}-${process.arch}`), async target => {
    await mkdir(target, { recursive: true })
    const downloads = join(target, 'downloads')
    await mkdir(downloads)
    await download(name, needed, downloads)
    for (const file of await readdir(downloads)) await runProgram('dpkg', ['-x', join(downloads, file), target])
    await rm(downloads, { recursive: true })
  })
  return { root, env: { LD_LIBRARY_PATH: libraryFolders(root).join(':') } }
}

/** Downloads with the machine's own package lists; where those are missing or out of date, with fresh ones of our own. */
async function download(name: string, needed: RegExp, folder: string): Promise<void> {
  try {
    await downloadWith(name, needed, [], folder)
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
    await downloadWith(name, needed, options, folder)
  }
}

async function downloadWith(name: string, needed: RegExp, options: readonly string[], folder: string): Promise<void> {
  // Simulated, an install needs no rights and names exactly what this machine lacks.
  const plan = await runProgram('apt-get', [...options, '--simulate', '--no-install-recommends', 'install', name])
  const missing = [...plan.matchAll(/^Inst (\S+)/gm)].map(match => match[1] ?? '')
  await runProgram('apt-get', [...options, 'download', ...missing.filter(each => needed.test(each))], { cwd: folder })
}

function libraryFolders(root: string): string[] {
  return ['lib', 'usr/lib'].flatMap(part => {
    const base = join(root, part)
    if (!existsSync(base)) return []
    const multiarch = readdirSync(base).filter(name => name.includes('-linux-gnu'))
    return multiarch.map(name => join(base, name))
  })
}
