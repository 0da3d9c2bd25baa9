/**
 * A process of its own, called like an object. Every call settles: with the process's result, with its error, or with
 * `PROCESS_ENDED` once it has ended.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { BreakwaterError } from '@breakwater/kernel'
import type { Program } from '@breakwater/testkit'
import type { Calls, Closable, Reply } from './calls.js'

/** Ms that a process may take to close in order before it is killed. */
const CLOSE_MS = 5_000

interface Pending {
  resolve(result: unknown): void
  reject(error: Error): void
}

export class RemoteProcess<C extends Calls<C> & Closable> {
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  #ended: BreakwaterError | undefined

  /**
   * Starts the process; it is killed when `signal` is aborted.
   * @param program must call `answerCalls`.
   * @param label Names the process in errors.
   */
  constructor({ path, execArgv }: Pick<Program, 'path' | 'execArgv'>, label: string, signal: AbortSignal) {
    this.#child = fork(path, {
      signal,
      killSignal: 'SIGKILL',
      execArgv,
      // stdout belongs to the table.
      stdio: ['ignore', process.stderr.fd, process.stderr.fd, 'ipc'],
    })
    this.#child.on('message', (reply: Reply) => this.#settle(reply))
    this.#exited = new Promise(resolve => {
      this.#child.on('error', error => {
        this.#onEnd(`${label}: ${error.message}`)
        // An abort is an error too, but one that the exit follows.
        if (this.#child.pid === undefined) resolve()
      })
      this.#child.on('exit', (code, killedBy) => {
        this.#onEnd(`${label} ended with ${killedBy ?? `exit code ${code}`}`)
        resolve()
      })
    })
  }

  /** Calls the process; calls run at the same time unless the caller waits. */
  call<M extends keyof C>(method: M, ...args: Parameters<C[M]>): ReturnType<C[M]> {
    return this.#send(method, args) as ReturnType<C[M]>
  }

  /** Sends a signal to the process: SIGSTOP and SIGCONT freeze it and let it go on, SIGKILL ends it at once. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** Ends the process, in order if it can; resolves when it is gone. */
  async end(): Promise<void> {
    const late = setTimeout(() => this.#child.kill('SIGKILL'), CLOSE_MS)
    await this.#send('close', []).catch(() => {})
    if (this.#child.connected) this.#child.disconnect()
    await this.#exited
    clearTimeout(late)
  }

  #send(method: keyof C, args: readonly unknown[]): Promise<unknown> {
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended)
      this.#pending.set(id, { resolve, reject })
      // A message that can't be sent means that the process is ending; its exit then rejects what is pending.
      this.#child.send({ id, method, args }, () => {})
    })
  }

  #settle({ id, result, error }: Reply): void {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (error === undefined) pending?.resolve(result)
    else pending?.reject(new Error(error))
  }

  #onEnd(what: string): void {
    this.#ended ??= new BreakwaterError('failed', 'PROCESS_ENDED', what)
    for (const { reject } of this.#pending.values()) reject(this.#ended)
    this.#pending.clear()
  }
}
