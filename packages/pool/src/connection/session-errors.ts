/** Which errors of a query are the end of its connection. */

/**
 * Operator intervention (the server stops, has crashed, or takes nobody), and a server that accepts no writes any more,
 * which is a primary that has become a replica. Source: PostgreSQL's documentation, appendix A, "Error Codes".
 */
const FATAL_CODES = new Set(['57P01', '57P02', '57P03', '25006'])
const CONNECTION_EXCEPTION = '08'

/** Tells whether the server's own code means that the session cannot go on. Errors of the client's side have no such code. */
export function endsSession(error: unknown): boolean {
  const { code } = Object(error) as { code?: unknown }
  return typeof code === 'string' && (code.startsWith(CONNECTION_EXCEPTION) || FATAL_CODES.has(code))
}
