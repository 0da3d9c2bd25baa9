/** Programs that the account they run under can reach. */

import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { unprivilegedAccount } from '../process/account.js'
import { copyFolder, makeRunFolder } from '../process/folders.js'
import { postgresBinaries, withinReach } from './binaries.js'

const account = unprivilegedAccount()

test.runIf(account)(
  'as root, programs in a folder that is root’s alone are copied to where they can be run',
  async () => {
    if (!account) return
    const binaries = await postgresBinaries(account)
    expect(await withinReach(binaries, account)).toBe(binaries)

    await using closed = await makeRunFolder('closed')
    const native = join(closed.path, 'native')
    await copyFolder(dirname(dirname(binaries.postgres)), native)
    const hidden = { ...binaries, postgres: join(native, 'bin', 'postgres'), initdb: join(native, 'bin', 'initdb') }
    const reachable = await withinReach(hidden, account)
    expect(reachable.postgres).not.toBe(hidden.postgres)
    for (const program of [reachable.postgres, reachable.initdb]) {
      expect(String(execFileSync(program, ['--version'], { ...account, cwd: '/' }))).toContain('PostgreSQL')
    }
  },
)
