/** A port that another process takes at the last moment. */

import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findRedis } from '../redis/find-redis.js'
import { parseTarget, serverVersion } from '../redis/wire.js'
import { makeRunFolder } from './folders.js'
import { startOnFreePort } from './start-local.js'

test('a program that is not there is an error', async () => {
  await using folder = await makeRunFolder('nothing')
  const failure = startOnFreePort(async () => ({
    name: 'Nothing',
    command: join(folder.path, 'no-such-program'),
    args: [],
    folder: folder.path,
    stopSignal: 'SIGTERM',
    quitSignal: 'SIGKILL',
    answers: async () => false,
  }))
  await expect(failure).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a server whose port was taken in the meantime is started on another', async () => {
  await using folder = await makeRunFolder('redis')
  const { command, env } = await findRedis()
  await using thief = createServer()
  const ports: number[] = []
  const started = await startOnFreePort(async port => {
    ports.push(port)
    if (ports.length === 1) {
      thief.listen(port, '127.0.0.1')
      await once(thief, 'listening')
    }
    return {
      name: 'Redis',
      command,
      args: ['--port', String(port), '--bind', '127.0.0.1'],
      env,
      folder: folder.path,
      stopSignal: 'SIGTERM',
      quitSignal: 'SIGKILL',
      // The thief accepts too; only a server of its own answers.
      answers: async () =>
        ports.length > 1 &&
        serverVersion(parseTarget(`redis://127.0.0.1:${port}`)).then(
          () => true,
          () => false,
        ),
    }
  })
  expect(ports.length).toBe(2)
  expect(started.port).toBe(ports[1])
  await started.process.quit()
})
