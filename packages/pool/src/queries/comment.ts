/**
 * What is written behind a query to say whose it is, where the database shows it: in its logs, in `pg_stat_activity`.
 * Source: the specification of sqlcommenter, "Format of the comment".
 */

/** By key, such as `traceparent` or `application`; what is undefined is left out. */
export type QueryTags = Readonly<Record<string, string | undefined>>

/**
 * Returns the query with the tags behind its text: the text itself, or an object that is as the given one in all else. As it
 * is, if there are no tags, if it has a name, under which a server knows but one text, or if it has a comment already.
 */
export function withComment(query: unknown, tags: QueryTags | undefined): unknown {
  const comment = tags && commentOf(tags)
  if (!comment) return query
  if (typeof query === 'string') return hasComment(query) ? query : append(query, comment)
  const { text, name } = (query ?? {}) as { text?: unknown; name?: unknown }
  if (typeof text !== 'string' || name || hasComment(text)) return query
  // Not a copy: what makes the text may be a class, whose values are read through getters.
  return Object.create(query as object, {
    text: { value: append(text, comment), writable: true, enumerable: true, configurable: true },
  })
}

function commentOf(tags: QueryTags): string {
  const pairs = Object.entries(tags)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${encode(key)}='${encode(value)}'`]))
    .sort()
  return pairs.length === 0 ? '' : ` /*${pairs.join(',')}*/`
}

/** With the slash encoded no value can end the comment, and with the quote none can end itself. */
function encode(part: string): string {
  // Half a character, which no encoding has.
  return encodeURIComponent(part.replace(/\p{Surrogate}/gu, '\ufffd')).replaceAll("'", '%27')
}

/** Perhaps: within a literal it would be none, and is taken for one at no harm. */
function hasComment(text: string): boolean {
  return text.includes('/*') || text.includes('--')
}

function append(text: string, comment: string): string {
  const end = text.trimEnd()
  return end.endsWith(';') ? `${end.slice(0, -1)}${comment};` : end + comment
}
