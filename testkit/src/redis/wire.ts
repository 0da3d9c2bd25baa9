/** The little of Redis's protocol that the test kit needs to ask a server something: one command a connection. */

import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

const ANSWER_WITHIN_MS = 5_000

/** Where a `redis://` or `rediss://` URL leads. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly tls: boolean
  /** The authority to trust beside the system's. */
  readonly ca?: string | undefined
}

export type Reply = string | number | null | Reply[]

/** @throws {Error} if `url` is not such a URL. */
export function parseTarget(url: string, ca?: string): Target {
  const { protocol, hostname, port, username, password } = new URL(url)
  if (!['redis:', 'rediss:'].includes(protocol) || hostname === '') throw new Error('not a Redis URL')
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || 6379),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    tls: protocol === 'rediss:',
    ca,
  }
}

/** Returns the server's version, such as `7.0.15`; rejects as `ask` does. */
export async function serverVersion(target: Target): Promise<string> {
  return infoField(await ask(target, 'INFO', 'server'), 'redis_version') ?? ''
}

/** Returns a field of what INFO or CLUSTER INFO replied. */
export function infoField(info: Reply, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(String(info))?.[1]
}

/** Tells whether a server answers; rejects when it says that it never will, such as for a wrong password. */
export async function answers(target: Target): Promise<boolean> {
  try {
    await serverVersion(target)
    return true
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (code === 'ECONNREFUSED' || code === 'ECONNRESET' || message.startsWith('LOADING')) return false
    throw error
  }
}

/** Returns the server's reply to one command; rejects with its error reply, or the socket's error. */
export function ask(target: Target, ...words: (string | number)[]): Promise<Reply> {
  const { host, port, user, password, tls, ca } = target
  return new Promise((resolve, reject) => {
    const socket: Socket = tls
      ? connectTls({ host, port, ...(ca === undefined ? {} : { ca }) })
      : connect({ host, port })
    const commands = [...(password ? [['AUTH', ...(user ? [user] : []), password]] : []), words]
    let text = ''
    let outcome = (): void => reject(new Error('the connection was closed'))
    const end = (how: () => void): void => {
      outcome = how
      socket.destroy()
    }
    socket.on('close', () => outcome())
    socket.on('error', error => end(() => reject(error)))
    socket.setTimeout(ANSWER_WITHIN_MS, () => end(() => reject(new Error('no answer within 5 s'))))
    // A character a byte, since lengths are in bytes.
    socket.setEncoding('latin1').on('data', chunk => {
      text += chunk
      try {
        const reader = new Reader(text)
        let reply: Reply = null
        for (let i = 0; i < commands.length; i++) reply = reader.read()
        end(() => resolve(reply))
      } catch (error) {
        if (error !== INCOMPLETE) end(() => reject(error))
      }
    })
    socket.write(commands.map(encode).join(''))
  })
}

function encode(words: readonly (string | number)[]): string {
  const parts = words.map(word => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`)
  return `*${words.length}\r\n${parts.join('')}`
}

const INCOMPLETE = new Error('the reply is not complete')

/** Reads replies of RESP2 from the start of a text; throws INCOMPLETE where it ends too early. */
class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): Reply {
    const line = this.#line()
    const rest = line.slice(1)
    switch (line[0]) {
      case '-':
        throw new Error(rest)
      case ':':
        return Number(rest)
      case '$':
        return rest === '-1' ? null : this.#bytes(Number(rest))
      case '*':
        return rest === '-1' ? null : Array.from({ length: Number(rest) }, () => this.read())
      default:
        return rest
    }
  }

  #line(): string {
    const end = this.#text.indexOf('\r\n', this.#at)
    if (end === -1) throw INCOMPLETE
    const line = this.#text.slice(this.#at, end)
    this.#at = end + 2
    return line
  }

  #bytes(length: number): string {
    const end = this.#at + length
    if (this.#text.length < end + 2) throw INCOMPLETE
    const bytes = Buffer.from(this.#text.slice(this.#at, end), 'latin1').toString()
    this.#at = end + 2
    return bytes
  }
}
