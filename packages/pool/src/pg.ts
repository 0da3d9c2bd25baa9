/** The `pg` module with its `Pool` replaced: `import pg from '@breakwater/pool/pg'` takes the place of `from 'pg'`. */

import type * as Types from './driver.js'
import { driver } from './driver.js'
import { Pool, type Pool as ReplacedPool } from './pool.js'
import type { PoolConfig, PoolConfig as ReplacedPoolConfig } from './pool-options.js'

type Driver = typeof driver
type Mirror = Omit<Driver, 'Pool' | 'native'> & { Pool: typeof Pool; readonly native: Mirror | null }

const pg: Mirror = mirror(driver, Pool)

// biome-ignore lint/suspicious/noExplicitAny: pg's own defaults.
type Any = any

/** pg's types, for those who name them through the default import. */
declare namespace pg {
  export type BindConfig = Types.BindConfig
  export type Client = InstanceType<Driver['Client']>
  export type ClientBase = Types.ClientBase
  export type ClientConfig = Types.ClientConfig
  export type Connection = InstanceType<Driver['Connection']>
  export type ConnectionConfig = Types.ConnectionConfig
  export type CustomTypesConfig = Types.CustomTypesConfig
  export type DatabaseError = InstanceType<Driver['DatabaseError']>
  export type Defaults = Types.Defaults
  export type Events = Types.Events
  export type ExecuteConfig = Types.ExecuteConfig
  export type FieldDef = Types.FieldDef
  export type MessageConfig = Types.MessageConfig
  export type Notification = Types.Notification
  export type Pool = ReplacedPool
  export type PoolClient = Types.PoolClient
  export type PoolConfig = ReplacedPoolConfig
  export type PoolOptions = Types.PoolOptions
  export type Query<R extends Types.QueryResultRow = Any, I extends Any[] = Any> = Types.Query<R, I>
  export type QueryArrayConfig<I = Any[]> = Types.QueryArrayConfig<I>
  export type QueryArrayResult<R extends Any[] = Any[]> = Types.QueryArrayResult<R>
  export type QueryConfig<I = Any[]> = Types.QueryConfig<I>
  export type QueryConfigValues<T> = Types.QueryConfigValues<T>
  export type QueryParse = Types.QueryParse
  export type QueryResult<R extends Types.QueryResultRow = Any> = Types.QueryResult<R>
  export type QueryResultBase = Types.QueryResultBase
  export type QueryResultRow = Types.QueryResultRow
  export type Result<R extends Types.QueryResultRow = Any> = Types.Result<R>
  export type ResultBuilder<R extends Types.QueryResultRow = Any> = Types.ResultBuilder<R>
  export type Submittable = Types.Submittable
  export type TransactionStatus = Types.TransactionStatus
  export type TypeOverrides = InstanceType<Driver['TypeOverrides']>
}

export default pg
export type {
  BindConfig,
  ClientBase,
  ClientConfig,
  ConnectionConfig,
  CustomTypesConfig,
  Defaults,
  Events,
  ExecuteConfig,
  FieldDef,
  MessageConfig,
  Notification,
  PoolClient,
  PoolOptions,
  QueryArrayConfig,
  QueryArrayResult,
  QueryConfig,
  QueryConfigValues,
  QueryParse,
  QueryResult,
  QueryResultBase,
  QueryResultRow,
  ResultBuilder,
  Submittable,
  TransactionStatus,
} from './driver.js'
/** `require` gives the mirror itself, as it gives pg's module. Source: Node's docs, "Loading ECMAScript modules using require()". */
export { Pool, type PoolConfig, pg as 'module.exports' }
export type Client = pg.Client
export type Connection = pg.Connection
export type DatabaseError = pg.DatabaseError
export type Query<R extends Types.QueryResultRow = Any, I extends Any[] = Any> = pg.Query<R, I>
export type Result<R extends Types.QueryResultRow = Any> = pg.Result<R>
export type TypeOverrides = pg.TypeOverrides
export const Client: Driver['Client'] = pg.Client
export const Connection: Driver['Connection'] = pg.Connection
export const types: Driver['types'] = pg.types
export const Query: Driver['Query'] = pg.Query
export const DatabaseError: Driver['DatabaseError'] = pg.DatabaseError
export const escapeIdentifier: Driver['escapeIdentifier'] = pg.escapeIdentifier
export const escapeLiteral: Driver['escapeLiteral'] = pg.escapeLiteral
export const Result: Driver['Result'] = pg.Result
export const TypeOverrides: Driver['TypeOverrides'] = pg.TypeOverrides
export const defaults: Driver['defaults'] = pg.defaults

/** Everything that `original` has, looked up now, with a `Pool` that connects with its `Client`. */
function mirror(original: Driver, OwnPool: typeof Pool): Mirror {
  const copy = Object.defineProperties({}, Object.getOwnPropertyDescriptors(original))
  let native: Mirror | null | undefined
  Object.defineProperties(copy, {
    Pool: { value: OwnPool, enumerable: true, configurable: true, writable: true },
    native: {
      // Lazy and hidden as in pg, where looking at it loads pg-native.
      get: () => {
        if (native === undefined) native = original.native ? mirrorNative(original.native as Driver) : null
        return native
      },
      configurable: true,
    },
  })
  return copy as Mirror
}

function mirrorNative(original: Driver): Mirror {
  class NativePool extends Pool {
    constructor(options?: PoolConfig) {
      super(options, original.Client)
    }
  }
  return mirror(original, NativePool as typeof Pool)
}
