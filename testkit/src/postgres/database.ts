/** Databases with unique names, made and dropped on any server. */

import { randomBytes } from 'node:crypto'
import type { Database } from '../server.js'
import { queryOnce, quoteName } from './client.js'

export interface CreateOptions {
  template?: string
}

/**
 * Creates a database on the server behind `adminUrl`.
 * @param isUp tells whether the server can be asked; what is on one that is down or hung goes with its data.
 */
export async function createDatabase(adminUrl: string, options: CreateOptions, isUp: () => boolean): Promise<Database> {
  const name = `breakwater_${process.pid}_${randomBytes(5).toString('hex')}`
  // template0 takes no connections, so nobody can be in the way.
  const template = quoteName(options.template ?? 'template0')
  await queryOnce(adminUrl, `create database ${quoteName(name)} template ${template}`)
  const url = new URL(adminUrl)
  url.pathname = `/${name}`
  return new CreatedDatabase(name, url.href, adminUrl, isUp)
}

class CreatedDatabase implements Database {
  readonly name: string
  readonly url: string
  readonly #adminUrl: string
  readonly #isUp: () => boolean
  #isDropped = false

  constructor(name: string, url: string, adminUrl: string, isUp: () => boolean) {
    this.name = name
    this.url = url
    this.#adminUrl = adminUrl
    this.#isUp = isUp
  }

  query<R>(text: string, values?: unknown[]): Promise<R[]> {
    return queryOnce<R>(this.url, text, values)
  }

  async drop(): Promise<void> {
    if (this.#isDropped || !this.#isUp()) return
    this.#isDropped = true
    await queryOnce(this.#adminUrl, `drop database ${quoteName(this.name)} with (force)`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drop()
  }
}
