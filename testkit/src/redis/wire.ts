/** The little of Redis's protocol that the test kit needs to see whether a server is there, and which. */

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

/** Returns the server's version, such as `7.0.15`; rejects with its error reply, or the socket's error. */
export function serverVersion(target: Target): Promise<string> {
  const { host, port, user, password, tls, ca } = target
  return new Promise((resolve, reject) => {
    const socket: Socket = tls
      ? connectTls({ host, port, ...(ca === undefined ? {} : { ca }) })
      : connect({ host, port })
    let reply = ''
    let outcome = (): void => reject(new Error('the connection was closed'))
    const end = (how: () => void): void => {
      outcome = how
      socket.destroy()
    }
    socket.on('close', () => outcome())
    socket.on('error', error => end(() => reject(error)))
    socket.setTimeout(ANSWER_WITHIN_MS, () => end(() => reject(new Error('no answer within 5 s'))))
    socket.setEncoding('utf8').on('data', text => {
      reply += text
      const error = /^-(.*)\r\n/m.exec(reply)
      const version = /^redis_version:(\S+)\r\n/m.exec(reply)
      if (error) end(() => reject(new Error(error[1])))
      else if (version) end(() => resolve(version[1] ?? ''))
    })
    if (password) socket.write(command('AUTH', ...(user ? [user] : []), password))
    socket.write(command('INFO', 'server'))
  })
}

function command(...words: string[]): string {
  return `*${words.length}\r\n${words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}
