/** Runs a program to its end and tells what it said. */

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Outcome {
  /** Exit code, or the signal that ended it. */
  readonly code: number | string
  /** Lines of standard output. */
  readonly lines: string[]
  readonly stderr: string
}

/** @param timeoutMs after which it is killed; by default 15 s. */
export function run(command: string, args: string[], options: RunOptions = {}): Promise<Outcome> {
  const { cwd, env, timeoutMs = 15_000 } = options
  return new Promise(resolve => {
    execFile(
      command,
      args,
      { cwd, env: { ...process.env, ...env }, timeout: timeoutMs, maxBuffer: 16 * 1_024 * 1_024 },
      (error, stdout, stderr) => {
        const code = error ? (error.signal ?? (error.code as number | string)) : 0
        resolve({ code, lines: stdout.split('\n').filter(line => line !== ''), stderr })
      },
    )
  })
}

export interface RunOptions {
  readonly cwd?: string
  /** Beyond what this process has. */
  readonly env?: Record<string, string>
  readonly timeoutMs?: number
}

/** Runs a TypeScript file of this package, compiled file by file as it is imported: for one that patches what it imports next. */
export function runFixture(url: URL, args: string[], options?: RunOptions): Promise<Outcome> {
  const nodeArgs = ['--conditions=@breakwater/source', '--import', 'tsx', fileURLToPath(url)]
  return run(process.execPath, [...nodeArgs, ...args], options)
}
