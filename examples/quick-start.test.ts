import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { buildProgram } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { describe, expect, it } from 'vitest'

const path = fileURLToPath(new URL('quick-start.ts', import.meta.url))

describe('the quick start', () => {
  it('is what the README shows', async () => {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    expect(readme).toContain(`\`\`\`ts\n${await readFile(path, 'utf8')}\`\`\``)
  })

  it('runs, and ends by itself', async () => {
    await using database = await testPostgres().createDatabase()
    await database.query(`CREATE TABLE users AS SELECT id, 'user ' || id AS name FROM generate_series(1, 1000) AS id`)
    const { args } = await buildProgram(new URL('quick-start.ts', import.meta.url))
    const env = { ...process.env, DATABASE_URL: database.url, REDIS_URL: testRedis().url }
    const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 15_000 })
    expect(stdout).toBe("{ id: 42, name: 'user 42' }\n")
  })
})
