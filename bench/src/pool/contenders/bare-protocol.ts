/**
 * The least that can be done for a query in JavaScript: the bytes of one prepared statement written back to back on one
 * socket, those of a turn in one system call, and the rows read where they lie. No pool, no errors, no other query.
 */

import { Socket } from 'node:net'
import pg from 'pg'
import { city } from '../../data/city.js'
import type { City } from '../../data/world.js'
import type { PoolContender } from './contender.js'

const STATEMENT = 'city'
const [ERROR, DATA_ROW, READY] = ['E', 'D', 'Z'].map(type => type.charCodeAt(0)) as [number, number, number]

export const bareProtocol: PoolContender = {
  open(connectionString) {
    const opening = BareConnection.open(connectionString)
    const end = async (): Promise<void> => (await opening).end()
    return {
      city: async id => toCity(await (await opening).ask(bindOf(id))),
      query: async text => (await opening).ask(message('Q', `${text}\0`)),
      end,
      forceEnd: end,
    }
  },
}

type Row = readonly string[]

interface Waiting {
  resolve(row: Row | undefined): void
  reject(error: Error): void
}

class BareConnection {
  readonly #client: pg.Client
  readonly #socket: Socket
  readonly #waiting: Waiting[] = []
  #isCorked = false
  #unread: Buffer = Buffer.alloc(0)
  #row: Row | undefined
  #error: Error | undefined

  private constructor(client: pg.Client, socket: Socket) {
    this.#client = client
    this.#socket = socket
    socket.removeAllListeners('data')
    socket.on('data', bytes => this.#read(bytes))
  }

  /** pg signs in, and has the server prepare the statement. */
  static async open(connectionString: string): Promise<BareConnection> {
    const socket = new Socket()
    const client = new pg.Client({ connectionString, stream: () => socket })
    client.on('error', () => {})
    await client.connect()
    await client.query({ name: STATEMENT, text: city.sql, values: [0] })
    return new BareConnection(client, socket)
  }

  /** Resolves with the last row of the answer. */
  ask(query: Buffer): Promise<Row | undefined> {
    if (!this.#isCorked) {
      this.#isCorked = true
      this.#socket.cork()
      process.nextTick(() => {
        this.#isCorked = false
        this.#socket.uncork()
      })
    }
    this.#socket.write(query)
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  #read(arrived: Buffer): void {
    const bytes = this.#unread.length === 0 ? arrived : Buffer.concat([this.#unread, arrived])
    let at = 0
    while (at + 5 <= bytes.length) {
      const end = at + 1 + bytes.readInt32BE(at + 1)
      if (end > bytes.length) break
      const type = bytes[at]
      if (type === DATA_ROW) this.#row = readRow(bytes, at + 5)
      else if (type === ERROR) this.#error = new Error(bytes.toString('utf8', at + 5, end).replaceAll('\0', ' '))
      else if (type === READY) this.#answer()
      at = end
    }
    this.#unread = bytes.subarray(at)
  }

  #answer(): void {
    const waiting = this.#waiting.shift()
    if (this.#error) waiting?.reject(this.#error)
    else waiting?.resolve(this.#row)
    this.#row = undefined
    this.#error = undefined
  }

  async end(): Promise<void> {
    this.#socket.destroy()
    await this.#client.end().catch(() => {})
  }
}

/** Bind, Execute and Sync; nobody asks for the columns, which are known. */
function bindOf(id: number): Buffer {
  const value = String(id)
  const length = Buffer.alloc(4)
  length.writeInt32BE(value.length)
  const head = Buffer.from(`\0${STATEMENT}\0\0\0\0\x01`, 'latin1')
  const bind = message('B', Buffer.concat([head, length, Buffer.from(value), Buffer.alloc(2)]))
  return Buffer.concat([bind, message('E', '\0\0\0\0\0'), message('S', '')])
}

function message(type: string, body: string | Buffer): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(bytes.length + 4, 1)
  return Buffer.concat([head, bytes])
}

function readRow(bytes: Buffer, start: number): Row {
  const row: string[] = []
  let at = start + 2
  for (let left = bytes.readInt16BE(start); left > 0; left--) {
    const end = at + 4 + bytes.readInt32BE(at)
    row.push(bytes.toString('utf8', at + 4, end))
    at = end
  }
  return row
}

function toCity(row: Row | undefined): City | undefined {
  if (!row) return undefined
  const [id, name = '', country = '', adminCode = '', population, lat, lon] = row
  return {
    id: Number(id),
    name,
    country,
    adminCode,
    population: Number(population),
    lat: Number(lat),
    lon: Number(lon),
  }
}
