/** A Lua script, sent by its digest and in full only when the server does not know it. */

import { createHash } from 'node:crypto'

export class Script {
  readonly name: string
  readonly source: string
  readonly sha: string

  /** @param name as it is told to whoever traces. */
  constructor(name: string, source: string) {
    this.name = name
    this.source = source
    this.sha = createHash('sha1').update(source).digest('hex')
  }
}
