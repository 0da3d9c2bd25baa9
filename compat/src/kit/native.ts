/** pg-native where this machine can build it, or the reason why it cannot: it needs libpq's headers and a compiler. */

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './run.js'

/** An addon fits one version of Node's binary interface. */
const CACHE = fileURLToPath(
  new URL(`../../../node_modules/.cache/breakwater-compat/pg-native-${process.versions.modules}`, import.meta.url),
)
const PACKAGE = 'pg-native@^3.9.0'

export type PgNative = { readonly nodePath: string } | { readonly missing: string }

/**
 * Finds pg-native, built once and kept under `node_modules/.cache`. It is no dependency of this package: as an optional
 * peer of pg it would make pg another copy here, and its build would fail on machines without libpq.
 */
export async function findPgNative(): Promise<PgNative> {
  const nodePath = join(CACHE, 'node_modules')
  if ((await whyNotLoaded(nodePath)) === undefined) return { nodePath }
  if ((await run('pg_config', ['--version'])).code !== 0) return { missing: "libpq's headers (pg_config) are missing" }
  await run('npm', ['install', '--no-save', '--prefix', CACHE, PACKAGE], { timeoutMs: 50_000 })
  const missing = await whyNotLoaded(nodePath)
  return missing === undefined ? { nodePath } : { missing: `it could not be built: ${missing}` }
}

async function whyNotLoaded(nodePath: string): Promise<string | undefined> {
  const program = "try { new (require('pg-native'))() } catch (error) { console.log(error.message.split('\\n')[0]) }"
  const { lines } = await run(process.execPath, ['-e', program], { env: { NODE_PATH: nodePath } })
  return lines[0]
}
