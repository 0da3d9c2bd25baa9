/** What Node is given for a process of the bench: with our packages as they are in `src`, or as they are published. */

import { fileURLToPath } from 'node:url'
import { buildProgram, type Program } from '@breakwater/testkit'

const fromSource = new Map<string, Promise<Program>>()

/** Makes a TypeScript file into a program with the packages from source, once for all its processes. */
export function sourceProgram(file: URL): Promise<Program> {
  const program = fromSource.get(file.href) ?? buildProgram(file)
  fromSource.set(file.href, program)
  return program
}

/**
 * Runs a TypeScript file with what `buildPackage` has made, each of its files by itself: those that are compared must not
 * be brought into one file with us, nor with each other.
 */
export function publishedProgram(file: URL): Program {
  const execArgv = ['--import', 'tsx']
  const path = fileURLToPath(file)
  return { execArgv, path, args: [...execArgv, path] }
}
