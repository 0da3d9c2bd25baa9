/**
 * The SQL by which a database tells guards of rows that are inserted past this library: by psql, another service, COPY. A
 * trigger writes each new key into a table in the inserting transaction itself, so that none is lost, whoever is down; a
 * notification says that there is something to fetch.
 */

import { BreakwaterError } from '@breakwater/kernel'

/** The table that keys wait in, and the channel that tells of them. */
export const FEED_TABLE = 'breakwater_guard_feed'
export const FEED_CHANNEL = 'breakwater_guard_feed'

export interface GuardFeedSqlOptions {
  /** The table, with its schema if it is not on the search path: `users`, `shop.orders`. */
  readonly table: string
  /** The column that the guard's keys are of. */
  readonly key: string
  /** The space whose guard is to be told. */
  readonly space: string
}

/**
 * Returns the statements that install the feed of one table; they may be run again. They need the right to create a table and
 * a trigger, and nothing else.
 *
 * @throws {BreakwaterError} kind `usage`, code `GUARD_FEED_INVALID`, for names that are none.
 */
export function guardFeedSql({ table, key, space }: GuardFeedSqlOptions): string {
  const names = table.split('.')
  if (names.length > 2 || [...names, key, space].some(name => name === '' || name.includes('\0'))) {
    throw new BreakwaterError(
      'usage',
      'GUARD_FEED_INVALID',
      'table, key and space must be names, the table with its schema or without: "users", "shop.orders"',
    )
  }
  const qualified = names.map(identifier).join('.')
  const args = `${literal(space)}, ${literal(key)}`
  return `create table if not exists ${FEED_TABLE} (
  id bigint generated always as identity primary key,
  space text not null,
  key text not null
);

create or replace function ${FEED_TABLE}_inserted() returns trigger language plpgsql as $$
begin
  insert into ${FEED_TABLE} (space, key) select tg_argv[0], to_jsonb(made) ->> tg_argv[1] from made;
  perform pg_notify('${FEED_CHANNEL}', tg_argv[0]);
  return null;
end $$;

create or replace function ${FEED_TABLE}_renamed() returns trigger language plpgsql as $$
begin
  insert into ${FEED_TABLE} (space, key) values (tg_argv[0], to_jsonb(new) ->> tg_argv[1]);
  perform pg_notify('${FEED_CHANNEL}', tg_argv[0]);
  return null;
end $$;

create or replace trigger ${identifier(`breakwater_guard_inserted_${space}`)} after insert on ${qualified}
  referencing new table as made for each statement execute function ${FEED_TABLE}_inserted(${args});

create or replace trigger ${identifier(`breakwater_guard_renamed_${space}`)} after update of ${identifier(key)} on ${qualified}
  for each row when (old.${identifier(key)} is distinct from new.${identifier(key)})
  execute function ${FEED_TABLE}_renamed(${args});
`
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
