import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { buildProgram } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'

const path = fileURLToPath(new URL('resource-pool.ts', import.meta.url))

describe('a pool of workers', () => {
  it('is what the page shows', async () => {
    const page = await readFile(new URL('../docs/resource-pool.md', import.meta.url), 'utf8')
    expect(page).toContain(`\`\`\`ts\n${await readFile(path, 'utf8')}\`\`\``)
  })

  it('runs, and ends by itself', async () => {
    const { args } = await buildProgram(new URL('resource-pool.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 15_000 })
    expect(stdout).toBe('[ 1, 4, 9, 16 ]\n0\n')
  })
})
