/** What a stored value must look like: any validator that speaks Standard Schema (zod, valibot, arktype and others). */

/** The part of Standard Schema that is used. Source: standardschema.dev, version 1. */
export interface StandardSchema<V> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<V> | Promise<SchemaResult<V>>
  }
}

export type SchemaResult<V> =
  | { readonly value: V; readonly issues?: undefined }
  | { readonly issues: readonly unknown[] }
