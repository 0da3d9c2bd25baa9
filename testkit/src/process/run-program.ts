/** Runs a program to its end; like a server, it does not outlive this process. */

import { execFile } from 'node:child_process'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { BreakwaterError } from '@breakwater/kernel'
import type { Account } from './account.js'
import { entrustProcess } from './custody.js'

/** Of what it complained, quoted in the error. */
const LAST_LINES = 5

export interface RunOptions {
  cwd?: string
  env?: Record<string, string>
  account?: Account | undefined
  /** What it reads from its standard input. Default: nothing. */
  input?: string
}

/**
 * Resolves to what it wrote to its standard output.
 * @throws {BreakwaterError} kind `failed`, with the end of its standard error.
 */
export async function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { input, account, ...rest } = options
  const running = promisify(execFile)(program, args, { ...rest, ...account })
  const { child } = running
  const release = child.pid === undefined ? undefined : entrustProcess(child.pid, 'SIGKILL')
  child.stdin?.on('error', () => {}).end(input)
  try {
    return (await running).stdout
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string }
    const why = (stderr || message).trim().split('\n').slice(-LAST_LINES).join('\n')
    throw new BreakwaterError('failed', 'TESTKIT_PROGRAM', `${basename(program)} failed: ${why}`)
  } finally {
    release?.()
  }
}
