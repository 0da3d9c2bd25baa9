/** What every server of the test kit can do, whoever started it. */

export interface Server extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** `postgres://...`, `redis://...`, or `rediss://...` with TLS; carries the password if there is one. */
  readonly url: string
  /** The server's process while it runs; `undefined` for somebody else's server and for one that is stopped. */
  readonly pid: number | undefined
  /** The authority's certificate in PEM, for a server with TLS. */
  readonly ca: string | undefined
  readonly version: string
  /** Whether it can be asked anything: it runs and does not hang. True for somebody else's server. */
  readonly isUp: boolean
  /** Freezes the server and every process of it (SIGSTOP); the kernel still accepts and acknowledges. */
  hang(): void
  /** Lets a hung server go on (SIGCONT). */
  resume(): void
  /** Ends all its processes with SIGKILL; resolves when they are gone. The data stays. */
  kill(): Promise<void>
  /** Starts it again after `kill()` or `stop()`: same port, same data. */
  start(): Promise<void>
  /** Ends it in an orderly way, by force after 5 s; resolves when it is gone. Does nothing to somebody else's server. */
  stop(): Promise<void>
}

export interface Database extends AsyncDisposable {
  readonly name: string
  readonly url: string
  /** Runs one statement on a connection of its own, so that it works before and after any fault. */
  query<R>(text: string, values?: unknown[]): Promise<R[]>
  /** Drops the database and ends its connections; a second call, or a server that is down or hung, is no error. */
  drop(): Promise<void>
}

export interface PostgresServer extends Server {
  /** Creates an empty database (or a copy of `template`, to which nobody may be connected) with a unique name. */
  createDatabase(options?: { template?: string }): Promise<Database>
}

export type RedisServer = Server
