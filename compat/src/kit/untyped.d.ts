/** Parts of libraries that their own types leave out. */

declare module 'knex/lib/dialects/postgres/index.js' {
  import { Knex } from 'knex'

  const PostgresDialect: typeof Knex.Client
  export = PostgresDialect
}
