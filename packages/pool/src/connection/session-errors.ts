/** What the codes of the server's and the socket's errors mean: for the connection, for its query, for the next connect. */

/**
 * Operator intervention: the server stops, has crashed, or takes nobody. Source: PostgreSQL's documentation, appendix A,
 * "Error Codes".
 */
const SHUT_DOWN = new Set(['57P01', '57P02', '57P03'])
/** The server accepts no writes any more: a primary that has become a replica. */
const READ_ONLY = '25006'
/** The server's words for it, unless it speaks another language. */
const FATAL = new Set(['FATAL', 'PANIC'])
const CONNECTION_EXCEPTION = '08'
/** The server, or the pooler before it, takes nobody now: starting up, or too many connections. */
const REFUSALS = new Set(['57P03', '53300'])
/**
 * The server is not there, or takes nobody now. A name that is not found counts as well, since it is asked only of a
 * server that was there: the names of containers come and go with them.
 */
const TRANSIENT_CODES = new Set([
  ...REFUSALS,
  ...['57P01', '57P02', 'ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT'],
  ...['EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN', 'ENOTFOUND', 'POOL_CREATE_TIMEOUT', 'POOL_FLEET_FULL'],
])
/** pg's errors of a socket that was closed, or gave no answer, have no code. */
const TRANSIENT_WORDS = /^(Connection terminated|timeout expired)/

/** Tells whether the server has ended the session with that error. */
export function isLastWord(error: unknown): boolean {
  const { code, severity } = parts(error)
  return FATAL.has(severity as string) || SHUT_DOWN.has(code as string)
}

/** Tells whether the server's own code means that the session cannot go on. Errors of the client's side have no such code. */
export function endsSession(error: unknown): boolean {
  const { code } = parts(error)
  if (typeof code !== 'string') return false
  return code.startsWith(CONNECTION_EXCEPTION) || SHUT_DOWN.has(code) || code === READ_ONLY
}

/**
 * Tells whether a connect that failed so may succeed later with nothing changed. Not so: a wrong password or role
 * (28xxx), no such database (3D000), a certificate that does not hold, and all that is not known.
 */
export function isTransient(error: unknown): boolean {
  const { code, message } = parts(error)
  if (typeof code === 'string') return TRANSIENT_CODES.has(code) || code.startsWith(CONNECTION_EXCEPTION)
  return typeof message === 'string' && TRANSIENT_WORDS.test(message)
}

/**
 * Tells whether a query that failed so has not run: the server refused it, or the system did not take the end of it,
 * without which the server commits nothing.
 */
export function hasNotRun(error: unknown): boolean {
  const { code, syscall } = parts(error)
  return REFUSALS.has(code as string) || (syscall === 'write' && (code === 'EPIPE' || code === 'ECONNRESET'))
}

/**
 * Says on the error of a query that was cut off whether the query may have run, as `mayHaveRun`.
 * @param isCutOff its connection was lost, or it was given up; otherwise the error itself tells.
 */
export function noteWhetherRun(error: unknown, isCutOff: boolean): void {
  const isNoted = isCutOff || hasNotRun(error) || endsSession(error)
  if (isNoted && error instanceof Error) Object.assign(error, { mayHaveRun: !hasNotRun(error) })
}

function parts(error: unknown): { code?: unknown; severity?: unknown; message?: unknown; syscall?: unknown } {
  return Object(error)
}
