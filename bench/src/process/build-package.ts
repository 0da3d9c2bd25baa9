/**
 * Builds a package as it is published, so that what is measured is what users run. What turns TypeScript into JavaScript
 * while the bench runs also sets the name of each function at run time, which nearly doubles the price of what is short.
 */

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { BreakwaterError } from '@breakwater/kernel'

const ROOT = join(import.meta.dirname, '..', '..', '..')

/** @throws {BreakwaterError} kind `failed`, code `BUILD_FAILED`, with the compiler's first complaint. */
export function buildPackage(name: string, signal: AbortSignal): Promise<void> {
  const typescript = dirname(createRequire(join(ROOT, 'package.json')).resolve('typescript/package.json'))
  const args = [join(typescript, 'bin', 'tsc'), '-b', join('packages', name)]
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd: ROOT, signal }, (error, stdout) => {
      if (!error) return resolve()
      const [complaint = ''] = stdout.split('\n', 1)
      const message = `packages/${name} was not built: ${complaint || error.message}`
      reject(new BreakwaterError('failed', 'BUILD_FAILED', message, { cause: error }))
    })
  })
}
