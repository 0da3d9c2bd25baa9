/** A server that this process started, with a folder of its own; disposed of, it is stopped and its folder removed. */

import type { Server } from '../server.js'
import type { RunFolder } from './folders.js'
import type { ServerProcess } from './server-process.js'

export interface LocalServerFacts {
  readonly port: number
  readonly url: string
  readonly ca: string | undefined
  readonly version: string
}

export class LocalServer implements Server {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly url: string
  readonly ca: string | undefined
  readonly version: string
  readonly #process: ServerProcess
  readonly #folder: RunFolder

  constructor(serverProcess: ServerProcess, folder: RunFolder, facts: LocalServerFacts) {
    this.#process = serverProcess
    this.#folder = folder
    this.port = facts.port
    this.url = facts.url
    this.ca = facts.ca
    this.version = facts.version
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  get isUp(): boolean {
    return this.#process.isUp
  }

  hang(): void {
    this.#process.hang()
  }

  resume(): void {
    this.#process.resume()
  }

  kill(): Promise<void> {
    return this.#process.kill()
  }

  start(): Promise<void> {
    return this.#process.start()
  }

  stop(): Promise<void> {
    return this.#process.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.quit()
    await this.#folder[Symbol.asyncDispose]()
  }
}
