/** However a run ends, no server process and no folder of it is left. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually } from '../eventually.js'
import { buildProgram } from './build-program.js'
import { sharedMemoryOf } from './shared-memory.mjs'
import { isAlive } from './tree.mjs'

const program = await buildProgram(new URL('./interrupted.fixture.ts', import.meta.url))

/** Starts the fixture in a process group of its own, as a terminal would; resolves when its servers run. */
async function startRun(how: string) {
  const temporary = await mkdtemp(join(tmpdir(), 'interrupted-'))
  // Where the servers run under another account, it must be able to pass.
  await chmod(temporary, 0o711)
  const child = spawn(process.execPath, [...program.args, how], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: process.env.PATH, TMPDIR: temporary },
  })
  const exited = once(child, 'exit')
  const [line] = await once(child.stdout, 'data')
  return {
    child,
    exited,
    pids: JSON.parse(String(line)) as number[],
    folders: () => readdir(temporary),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await rm(temporary, { recursive: true, force: true })
    },
  }
}

test.each([
  ['killed by SIGINT (Ctrl+C)', 'runs', 'SIGINT'],
  ['killed by SIGTERM', 'runs', 'SIGTERM'],
  ['killed by SIGKILL', 'runs', 'SIGKILL'],
  ['killed by SIGKILL while its servers hang', 'hung', 'SIGKILL'],
  ['killed when somebody has killed its hung Postgres, whose children still hang', 'orphaned', 'SIGKILL'],
  ['killed while one of its servers is deaf to signals', 'deaf', 'SIGKILL'],
  ['that exits', 'exits', undefined],
  ['that has nothing left to do', 'returns', undefined],
  ['that throws', 'throws', undefined],
] as const)('a run %s leaves no server and no folder', async (_, how, signal) => {
  await using run = await startRun(how)
  expect(run.pids.length).toBeGreaterThan(5)
  // The whole process group, as a terminal does.
  if (signal) process.kill(-(run.child.pid ?? 0), signal)
  await run.exited
  await eventually(() => expect(run.pids.filter(isAlive)).toEqual([]))
  await eventually(async () => expect(await run.folders()).toEqual([]))
  expect(run.pids.flatMap(sharedMemoryOf)).toEqual([])
})
