/** A process that uses a pool ends when it has nothing more to do, and only for a bug of its own with an error. */

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { buildProgram } from '@breakwater/testkit'
import { expect, it } from 'vitest'
import { useDatabase } from '../test/pool-kit.js'

const database = useDatabase()
const program = await buildProgram(new URL('../test/exit.fixture.ts', import.meta.url))

/** Runs the program to its end, which is cut off after 15 s. */
async function run(mode: string): Promise<{ code: number; lines: string[]; stderr: string }> {
  const args = [...program.args, database.url, mode]
  const { stdout, stderr, code } = await promisify(execFile)(process.execPath, args, { timeout: 15_000 }).then(
    output => ({ ...output, code: 0 }),
    error => error as { stdout: string; stderr: string; code: number },
  )
  return { code, lines: stdout.trim().split('\n'), stderr }
}

it('ends by itself after end()', async () => {
  expect(await run('end')).toEqual({ code: 0, lines: ['answered', 'removed', 'removed', 'ended'], stderr: '' })
})

it('ends by itself when its connections have been idle for idleTimeoutMillis', async () => {
  expect(await run('idle')).toEqual({ code: 0, lines: ['answered', 'removed', 'removed'], stderr: '' })
})

it('ends by itself at once with allowExitOnIdle', async () => {
  expect(await run('exit-on-idle')).toEqual({ code: 0, lines: ['answered', 'answered alone'], stderr: '' })
})

it('goes on when a backend in use is killed and nobody listens for errors', async () => {
  const { code, lines } = await run('killed')
  expect({ code, lines }).toEqual({ code: 0, lines: expect.arrayContaining(['answered', '57P01', 'removed']) })
})

it('fails by what a callback throws, as with pg', async () => {
  expect(await run('throw')).toMatchObject({ lines: ['answered', 'uncaughtException: from a callback'] })
})
