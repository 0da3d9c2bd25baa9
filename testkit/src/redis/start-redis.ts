/** Gives a Redis server: the one behind `REDIS_URL`, or one of our own. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BreakwaterError } from '@breakwater/kernel'
import { makeRunFolder, type RunFolder } from '../process/folders.js'
import { ForeignServer } from '../process/foreign-server.js'
import { LocalServer } from '../process/local-server.js'
import { startOnFreePort } from '../process/start-local.js'
import type { RedisServer } from '../server.js'
import { makeCertificates } from '../tls.js'
import { findRedis } from './find-redis.js'
import { answers, parseTarget, serverVersion, type Target } from './wire.js'

export interface RedisOptions {
  /** A server with a certificate of our own authority, that takes TLS only. Implies `own`. Default: false. */
  tls?: boolean
  /** The default user's password. Implies `own`. Default: none. */
  password?: string
  /** Entries of redis.conf, for a server that we start; somebody else's keeps its own. */
  settings?: Record<string, string>
  /** Never use `REDIS_URL`. Default: false. */
  own?: boolean
}

/**
 * Starts a server, or connects to the one that `REDIS_URL` names.
 * @throws {BreakwaterError} kind `failed`: `REDIS_URL` leads nowhere, no Redis is to be had on this machine (with the
 * ways out), or the server did not start (with the end of its log).
 */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const url = process.env.REDIS_URL
  if (url && !options.own && !options.tls && options.password === undefined) return connectForeignRedis(url)
  const folder = await makeRunFolder('redis')
  try {
    return await startLocal(folder, options)
  } catch (error) {
    await folder[Symbol.asyncDispose]()
    throw error
  }
}

async function startLocal(folder: RunFolder, options: RedisOptions): Promise<RedisServer> {
  const { command, env } = await findRedis()
  const certificates = options.tls ? await makeCertificates() : undefined
  if (certificates) {
    await writeFile(join(folder.path, 'ca.pem'), certificates.ca)
    await writeFile(join(folder.path, 'server.crt'), certificates.certificate)
    await writeFile(join(folder.path, 'server.key'), certificates.key, { mode: 0o600 })
  }
  const targetAt = (port: number): Target => parseTarget(urlAt(port, options), certificates?.ca)
  const started = await startOnFreePort(async port => ({
    name: 'Redis',
    command,
    args: settingsAt(port, folder.path, options).flatMap(([name, value]) => [`--${name}`, value]),
    env,
    folder: folder.path,
    stopSignal: 'SIGTERM',
    quitSignal: 'SIGKILL',
    answers: () => answers(targetAt(port)),
  }))
  return new LocalServer(started.process, folder, {
    port: started.port,
    url: urlAt(started.port, options),
    ca: certificates?.ca,
    version: await serverVersion(targetAt(started.port)),
  })
}

function urlAt(port: number, { tls, password }: RedisOptions): string {
  const credentials = password === undefined ? '' : `:${encodeURIComponent(password)}@`
  return `${tls ? 'rediss' : 'redis'}://${credentials}127.0.0.1:${port}`
}

/** Nothing is written to disk, but for what the caller's settings ask. */
function settingsAt(port: number, folder: string, { tls, password, settings }: RedisOptions): [string, string][] {
  const listen = tls
    ? {
        port: '0',
        'tls-port': String(port),
        'tls-ca-cert-file': join(folder, 'ca.pem'),
        'tls-cert-file': join(folder, 'server.crt'),
        'tls-key-file': join(folder, 'server.key'),
        'tls-auth-clients': 'no',
      }
    : { port: String(port) }
  return Object.entries({
    bind: '127.0.0.1',
    ...listen,
    dir: folder,
    save: '',
    appendonly: 'no',
    ...(password === undefined ? {} : { requirepass: password }),
    ...settings,
  })
}

async function connectForeignRedis(url: string): Promise<RedisServer> {
  let target: Target
  try {
    target = parseTarget(url)
  } catch {
    // The parser's error quotes its input, which may hold a password.
    throw foreignFailure('is not a URL such as redis://:password@host:6379')
  }
  const { host, port } = target
  const version = await serverVersion(target).catch((error: Error) => {
    throw foreignFailure(`cannot connect to ${host}:${port}: ${error.message}`)
  })
  return new ForeignServer({ host, port, url, version, owner: 'it comes from REDIS_URL' })
}

function foreignFailure(what: string): BreakwaterError {
  const message = `REDIS_URL ${what}; mend it, or unset it to have a server started`
  return new BreakwaterError('failed', 'TESTKIT_REDIS_URL', message)
}
