/**
 * An instance in a process of its own, called like an object. Every call settles: with the instance's result, with its
 * error, or with `INSTANCE_DIED` once the process has ended.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { BreakwaterError } from '@breakwater/kernel'
import type { Call, InstanceCalls, Method, Reply } from './protocol.js'

/** Ms that an instance may take to close in order before its process is killed. */
const CLOSE_MS = 5_000

interface Pending {
  resolve(result: unknown): void
  reject(error: Error): void
}

export class RemoteInstance {
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  #died: BreakwaterError | undefined

  /**
   * Starts the process; it is killed when `signal` is aborted.
   * @param label Names the instance in errors.
   */
  constructor(label: string, signal: AbortSignal) {
    this.#child = fork(new URL('./instance-process.ts', import.meta.url), {
      signal,
      killSignal: 'SIGKILL',
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

  /** Calls the instance; calls run at the same time unless the caller waits. */
  call<M extends Method>(method: M, ...args: Parameters<InstanceCalls[M]>): ReturnType<InstanceCalls[M]> {
    const call: Call<M> = { id: ++this.#lastId, method, args }
    const reply = new Promise<unknown>((resolve, reject) => {
      if (this.#died) return reject(this.#died)
      this.#pending.set(call.id, { resolve, reject })
      // A message that can't be sent means that the process is ending; `close` then rejects what is pending.
      this.#child.send(call, () => {})
    })
    return reply as ReturnType<InstanceCalls[M]>
  }

  /** Ends the process, in order if it can; resolves when it is gone. */
  async end(): Promise<void> {
    const late = setTimeout(() => this.#child.kill('SIGKILL'), CLOSE_MS)
    await this.call('close').catch(() => {})
    if (this.#child.connected) this.#child.disconnect()
    await this.#exited
    clearTimeout(late)
  }

  #settle({ id, result, error }: Reply): void {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (error === undefined) pending?.resolve(result)
    else pending?.reject(new Error(error))
  }

  #onEnd(what: string): void {
    this.#died ??= new BreakwaterError('failed', 'INSTANCE_DIED', what)
    for (const { reject } of this.#pending.values()) reject(this.#died)
    this.#pending.clear()
  }
}
