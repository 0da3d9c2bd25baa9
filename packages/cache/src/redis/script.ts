/** A Lua script, sent by its digest and in full only when the server does not know it. */

import { createHash } from 'node:crypto'

export class Script {
  readonly source: string
  readonly sha: string

  constructor(source: string) {
    this.source = source
    this.sha = createHash('sha1').update(source).digest('hex')
  }
}
