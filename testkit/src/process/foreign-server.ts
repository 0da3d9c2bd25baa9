/** A server that somebody else started and will stop: it can be used, but not hung, killed or stopped. */

import { BreakwaterError } from '@breakwater/kernel'
import type { Server } from '../server.js'

export interface ForeignServerFacts {
  readonly host: string
  readonly port: number
  readonly url: string
  readonly version: string
  readonly pid?: number | undefined
  /** Whose it is, for messages: `it comes from REDIS_URL`. */
  readonly owner: string
}

export class ForeignServer implements Server {
  readonly host: string
  readonly port: number
  readonly url: string
  readonly version: string
  readonly pid: number | undefined
  readonly ca: undefined
  readonly isUp = true
  readonly #owner: string

  constructor(facts: ForeignServerFacts) {
    this.host = facts.host
    this.port = facts.port
    this.url = facts.url
    this.version = facts.version
    this.pid = facts.pid
    this.#owner = facts.owner
  }

  hang(): void {
    throw this.#refusal('hang')
  }

  resume(): void {
    throw this.#refusal('resume')
  }

  async kill(): Promise<void> {
    throw this.#refusal('kill')
  }

  async start(): Promise<void> {
    throw this.#refusal('start')
  }

  async stop(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  #refusal(verb: string): BreakwaterError {
    const message = `${verb}() is not for this server: ${this.#owner}; start one of your own with { own: true }`
    return new BreakwaterError('usage', 'TESTKIT_FOREIGN_SERVER', message)
  }
}
