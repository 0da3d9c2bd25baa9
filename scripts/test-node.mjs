// Runs the test suite on another version of Node, taken from npm: `pnpm test:node 22 [vitest's arguments]`.
import { spawnSync } from 'node:child_process'

const [version, ...rest] = process.argv.slice(2)
if (!/^\d+(\.\d+){0,2}$/.test(version ?? '')) {
  console.error('usage: pnpm test:node <version of Node, such as 22 or 24> [arguments for vitest]')
  process.exit(2)
}
const args = ['-y', '--package', `node@${version}`, '--', 'node', 'node_modules/vitest/vitest.mjs', 'run', ...rest]
const { status, error } = spawnSync('npx', args, { stdio: 'inherit', cwd: new URL('..', import.meta.url) })
if (error) console.error(`npx could not be started: ${error.message}`)
process.exit(status ?? 1)
