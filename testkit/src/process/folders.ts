/** Where things live: what is worth keeping between runs under `node_modules/.cache`, the rest in folders of one run. */

import { randomBytes } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Account } from './account.js'
import { entrustFolder } from './custody.js'
import { runProgram } from './run-program.js'

export function repositoryRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'pnpm-workspace.yaml'))) {
    const parent = dirname(folder)
    if (parent === folder) throw new Error('the test kit lies in no pnpm workspace')
    folder = parent
  }
  return folder
}

/** Returns the path of something kept between runs; it need not exist. */
export function cachePath(...parts: string[]): string {
  return join(repositoryRoot(), 'node_modules', '.cache', 'breakwater', ...parts)
}

/**
 * Returns `path`, made by `build` if it does not exist. `build` gets another path, to create and fill; the result takes
 * its name in one step, so an interrupted or a simultaneous run leaves or sees nothing half done.
 */
export async function buildOnce(path: string, build: (folder: string) => Promise<void>): Promise<string> {
  if (existsSync(path)) return path
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`
  const release = entrustFolder(temporary)
  try {
    await mkdir(dirname(path), { recursive: true })
    await build(temporary)
    await rename(temporary, path).catch(error => {
      // Another run was faster; its result is as good.
      if (!existsSync(path)) throw error
    })
  } finally {
    await rm(temporary, { recursive: true, force: true })
    release()
  }
  return path
}

/** Copies a folder with owners and modes to a path that does not exist; by reference where the file system can. */
export async function copyFolder(from: string, to: string): Promise<void> {
  const reflink = process.platform === 'linux' ? ['--reflink=auto'] : []
  await runProgram('cp', ['-a', ...reflink, from, to])
}

/** A folder for one run. */
export interface RunFolder extends AsyncDisposable {
  readonly path: string
}

/** Makes an empty folder that only this user, or `account`, can enter; it goes when disposed of, or with this process. */
export async function makeRunFolder(name: string, account?: Account): Promise<RunFolder> {
  const path = await mkdtemp(join(temporaryFolder(account), `breakwater-${name}-`))
  const release = entrustFolder(path)
  if (account) await chown(path, account.uid, account.gid)
  await chmod(path, 0o700)
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true, maxRetries: 5 })
      release()
    },
  }
}

function temporaryFolder(account: Account | undefined): string {
  const candidates = [tmpdir(), '/tmp', '/var/tmp']
  return (account ? candidates.find(isOpenToAll) : undefined) ?? tmpdir()
}

/** Tells whether every account can pass through `path` and all folders above it. */
export function isOpenToAll(path: string): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    if (((statSync(folder, { throwIfNoEntry: false })?.mode ?? 0) & 0o001) === 0) return false
    if (folder === dirname(folder)) return true
  }
}
