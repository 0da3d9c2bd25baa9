/** What may be told of a query: its text without a value in it, and a name of few different ones. */

const LITERALS = [
  // Escape strings, in which a backslash escapes; plain ones; those between dollars; numbers that are no placeholder.
  /\b[eE]'(?:[^'\\]|''|\\[\s\S])*'/g,
  /'(?:[^']|'')*'/g,
  /\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$/g,
  /(?<![\w$."])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b/g,
]
const COMMENTS = /--[^\n]*|\/\*[\s\S]*?\*\//g

/** Replaces every literal by `?`; placeholders stay. */
export function withoutValues(text: string): string {
  return LITERALS.reduce((rest, literal) => rest.replace(literal, '?'), text)
}

const TARGET = /\b(?:from|into|update|join|table)\s+(?:only\s+|if\s+(?:not\s+)?exists\s+)?([\w".]+)/i

/** Such as `SELECT users`: at most 255 characters, as OpenTelemetry's `db.query.summary` has it. */
export function summaryOf(text: string): string {
  const bare = withoutValues(text).replace(COMMENTS, ' ').trimStart()
  const operation = /^[a-z]+/i.exec(bare)?.[0].toUpperCase() ?? 'QUERY'
  const target = TARGET.exec(bare)?.[1]
  return (target === undefined ? operation : `${operation} ${target}`).slice(0, 255)
}
