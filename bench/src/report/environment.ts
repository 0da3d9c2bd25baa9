/** Says on what a run was made, so that its figures can be judged and made again. */

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { promisify } from 'node:util'

export interface Environment {
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly memoryBytes: number
    readonly platform: string
  }
  readonly versions: {
    readonly node: string
    readonly postgres: string
    /** null if the run needed none. */
    readonly redis: string | null
    readonly pg: string
    readonly ioredis: string
  }
  /** The commit that is checked out, with `+` behind it if the tree differs from it; `unknown` outside of git. */
  readonly commit: string
}

export async function describeEnvironment(servers: { postgres: string; redis: string | null }): Promise<Environment> {
  return {
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      platform: `${process.platform} ${process.arch}`,
    },
    versions: { node: process.versions.node, ...servers, pg: versionOf('pg'), ioredis: versionOf('ioredis') },
    commit: await commit(),
  }
}

function versionOf(packageName: string): string {
  const { version } = createRequire(import.meta.url)(`${packageName}/package.json`) as { version: string }
  return version
}

async function commit(): Promise<string> {
  const git = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)('git', args, { cwd: import.meta.dirname })).stdout.trim()
  try {
    const [head, changes] = await Promise.all([git('rev-parse', 'HEAD'), git('status', '--porcelain')])
    return changes === '' ? head : `${head}+`
  } catch {
    return 'unknown'
  }
}
