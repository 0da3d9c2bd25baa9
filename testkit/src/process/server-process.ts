/**
 * One server process that we own: started until it answers, frozen, resumed, killed, stopped, started again. Whatever
 * happens to this process meanwhile, the server does not outlive it.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BreakwaterError } from '@breakwater/kernel'
import type { Account } from './account.js'
import { entrustProcess } from './custody.js'
import { removeSharedMemoryOf } from './shared-memory.mjs'
import { continueTree, isAlive, killTree, processTree, stopTree } from './tree.mjs'

const START_WITHIN_MS = 30_000
const STOP_WITHIN_MS = 5_000
const POLL_MS = 5

export interface ServerCommand {
  /** For messages: `Postgres` or `Redis`. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Record<string, string>
  readonly account?: Account | undefined
  /** The server's working folder; gets its `log`. */
  readonly folder: string
  /** Ends it in an orderly way without waiting for its clients. */
  readonly stopSignal: NodeJS.Signals
  /** Ends it at once. */
  readonly quitSignal: NodeJS.Signals
  /** Resolves to whether it answers; an error means that it never will. */
  answers(): Promise<boolean>
}

/** Servers that run now, for those who look for leftovers. */
const running = new Set<ServerProcess>()

/** Names the servers that this process started and that still run. */
export function runningServers(): string[] {
  return [...running].map(server => `${server.name} server (pid ${server.pid})`)
}

export class ServerProcess {
  readonly #command: ServerCommand
  #child: ChildProcess | undefined
  #isHung = false

  constructor(command: ServerCommand) {
    this.#command = command
  }

  get name(): string {
    return this.#command.name
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Whether it can be asked anything. */
  get isUp(): boolean {
    return this.#child !== undefined && !this.#isHung
  }

  /** @throws {BreakwaterError} kind `failed` with the end of its log if it ends, or does not answer within 30 s. */
  async start(): Promise<void> {
    if (this.#child) throw this.#usage('start() while it runs; kill() or stop() it first')
    const child = this.#spawn()
    const exited = once(child, 'exit').catch(() => {})
    const startedAt = performance.now()
    try {
      await once(child, 'spawn')
      while (!(await this.#command.answers())) {
        if (this.#child !== child) throw this.#failure('ended during its start')
        if (performance.now() - startedAt > START_WITHIN_MS) throw this.#failure('did not answer within 30 s')
        await Promise.race([sleep(POLL_MS), exited])
      }
    } catch (error) {
      await this.kill()
      throw error
    }
  }

  hang(): void {
    stopTree(this.#runningPid('hang'))
    this.#isHung = true
  }

  resume(): void {
    continueTree(this.#runningPid('resume'))
    this.#isHung = false
  }

  /** Does nothing if it does not run. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined) return
    const exited = awaitExit(child)
    const tree = killTree(child.pid)
    await exited
    while (tree.some(isAlive)) await sleep(POLL_MS)
  }

  /** Does nothing if it does not run. */
  stop(): Promise<void> {
    return this.#end(this.#command.stopSignal)
  }

  /** Ends it without care for its data; does nothing if it does not run. */
  quit(): Promise<void> {
    return this.#end(this.#command.quitSignal)
  }

  /** The last lines that it wrote. */
  get logTail(): string {
    return readFileSync(this.#logPath, 'utf8').trimEnd().split('\n').slice(-8).join('\n')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined) return
    if (this.#isHung) this.resume()
    const exited = awaitExit(child)
    const tree = processTree(child.pid)
    child.kill(signal)
    const abort = new AbortController()
    const isGone = await Promise.race([
      exited.then(() => true),
      sleep(STOP_WITHIN_MS, false, { signal: abort.signal }).catch(() => false),
    ])
    abort.abort()
    if (!isGone) return this.kill()
    while (tree.some(isAlive)) await sleep(POLL_MS)
  }

  get #logPath(): string {
    return join(this.#command.folder, 'log')
  }

  #spawn(): ChildProcess {
    const { command, args, env, account, folder, quitSignal } = this.#command
    const log = openSync(this.#logPath, 'a')
    const child = spawn(command, args, {
      // In its own session, so that Ctrl+C in the terminal reaches us alone and we decide what becomes of it.
      detached: true,
      cwd: folder,
      env: { PATH: process.env.PATH, LC_ALL: 'C', ...env },
      stdio: ['ignore', log, log],
      ...account,
    })
    closeSync(log)
    // A server nobody stopped must not keep this process alive: the reaper ends it.
    child.unref()
    const { pid } = child
    if (pid === undefined) return child
    const release = entrustProcess(pid, quitSignal)
    this.#child = child
    this.#isHung = false
    running.add(this)
    child.once('exit', (_code, signal) => {
      if (signal !== null) removeSharedMemoryOf(pid)
      this.#child = undefined
      running.delete(this)
      release()
    })
    return child
  }

  #runningPid(verb: string): number {
    if (this.pid === undefined) throw this.#usage(`${verb}() while it does not run`)
    return this.pid
  }

  #usage(what: string): BreakwaterError {
    return new BreakwaterError('usage', 'TESTKIT_SERVER_STATE', `${this.name}: ${what}`)
  }

  #failure(what: string): BreakwaterError {
    return new BreakwaterError('failed', 'TESTKIT_SERVER_START', `${this.name} ${what}; its log ends:\n${this.logTail}`)
  }
}

/** Keeps this process alive until the child's end, which an unref'd child alone would not. */
async function awaitExit(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.ref()
  await once(child, 'exit')
}
