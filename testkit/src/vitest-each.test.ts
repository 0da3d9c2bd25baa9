/** The check after every test fails the tests that leave something open, and no others. */

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { testPostgres, testRedis } from './vitest.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

interface Report {
  testResults: { assertionResults: { title: string; status: string; failureMessages: string[] }[] }[]
}

/** Runs the fixture with the suite's own configuration, on the servers of this run. */
function runFixture(): Promise<Report> {
  const options = { config: 'testkit/src/vitest-each.config.ts', root }
  const script = `import { startVitest } from 'vitest/node'; await startVitest('test', [], ${JSON.stringify(options)})`
  const env = { PATH: process.env.PATH, DATABASE_URL: testPostgres().url, REDIS_URL: testRedis().url }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ['--input-type=module', '-e', script], { cwd: root, env }, (_failed, stdout, stderr) => {
      try {
        resolve(JSON.parse(stdout) as Report)
      } catch {
        reject(new Error(`no report: ${stderr}`))
      }
    })
  })
}

test('a test that leaves something open fails, and is told what', async () => {
  const { testResults } = await runFixture()
  const results = testResults.flatMap(file => file.assertionResults)
  expect(results.length).toBe(9)
  const wrong = results.filter(({ title, status }) => status !== (title.startsWith('FAILS') ? 'failed' : 'passed'))
  expect(wrong).toEqual([])
  const messages = results.filter(({ status }) => status === 'failed').map(({ failureMessages }) => failureMessages[0])
  expect(messages.map(message => /left open: \w+/.exec(message ?? '')?.[0])).toEqual([
    'left open: socket',
    'left open: timer',
  ])
})
