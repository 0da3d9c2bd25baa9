/** Data folders: an empty cluster is made once and kept; each server works on a copy of it, or of a kept snapshot. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { BreakwaterError } from '@breakwater/kernel'
import type { Account } from '../process/account.js'
import { buildOnce, cachePath, copyFolder, makeRunFolder } from '../process/folders.js'
import { runProgram } from '../process/run-program.js'
import type { Binaries } from './binaries.js'

/** The one role of every cluster. */
export const SUPERUSER = 'postgres'

/** One locale on every machine: Unicode by code point, with no library of the system behind it. */
const LOCALE = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
const LEAN = ['--no-sync', '--no-data-checksums', '--wal-segsize=1', '--no-instructions']

/** Returns the folder of the kept empty cluster, made now if there is none. */
export function baseData(binaries: Binaries, account: Account | undefined): Promise<string> {
  return buildOnce(kept(binaries, 'base'), async target => {
    await using work = await makeRunFolder('initdb', account)
    const data = join(work.path, 'data')
    const args = ['-D', data, '--username', SUPERUSER, '--auth=trust', ...LOCALE, ...LEAN]
    await runProgram(binaries.initdb, args, { cwd: work.path, env: { LC_ALL: 'C' }, account })
    await copyFolder(data, target)
  })
}

/** Returns the folder of the snapshot called `name`, if it is kept. */
export function findSnapshot(binaries: Binaries, name: string): string | undefined {
  const path = snapshotPath(binaries, name)
  return existsSync(path) ? path : undefined
}

/** Keeps a copy of a stopped server's data as the snapshot called `name`. */
export async function keepSnapshot(binaries: Binaries, name: string, data: string): Promise<void> {
  await buildOnce(snapshotPath(binaries, name), target => copyFolder(data, target))
}

/** Gives the superuser of a stopped cluster a password. */
export async function setPassword(
  binaries: Binaries,
  account: Account | undefined,
  data: string,
  password: string,
): Promise<void> {
  // In single-user mode a line is a statement, so the text must fit in one.
  const text = JSON.stringify(password).slice(1, -1).replaceAll("'", "''")
  await runProgram(binaries.postgres, ['--single', '-D', data, '-c', 'fsync=off', 'postgres'], {
    cwd: data,
    env: { LC_ALL: 'C' },
    account,
    input: `alter role ${SUPERUSER} password E'${text}'\n`,
  })
}

function snapshotPath(binaries: Binaries, name: string): string {
  if (!/^[\w.-]+$/.test(name)) {
    const message = `snapshot name ${JSON.stringify(name)}: only letters, digits, "_", "-" and "." are allowed`
    throw new BreakwaterError('usage', 'TESTKIT_SNAPSHOT_NAME', message)
  }
  return kept(binaries, `snapshot-${name}`)
}

function kept(binaries: Binaries, name: string): string {
  return cachePath(`postgres-${binaries.version}-${process.platform}-${process.arch}`, name)
}
