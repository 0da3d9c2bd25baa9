/** Puts the true rows into Postgres once, as a template database from which each contender's own is copied. */

import type { Snapshot } from '@breakwater/testkit'
import pg from 'pg'
import { loadWorld, type World } from './world.js'

/** Counts up with the table's shape, so that an old template is never taken for a new one. */
export const TEMPLATE = 'breakwater_cities_v1'

/** Rows an insert; 135 k rows take about 1.5 s. */
const BATCH = 10_000

const DUPLICATE_DATABASE = '42P04'

/** A server that has the template. */
export const citiesSnapshot: Snapshot = { name: TEMPLATE, prepare: server => ensureTemplate(server.url) }

/**
 * Makes the template database if the server has none. It is filled under another name and renamed when it is whole,
 * so that an interrupted fill is never used.
 * @param url A database of the server whose user may create databases.
 */
export async function ensureTemplate(url: string): Promise<void> {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  try {
    const found = await admin.query('select from pg_database where datname = $1', [TEMPLATE])
    if (found.rowCount === 1) return
    const unfinished = `${TEMPLATE}_${process.pid}`
    await admin.query(`drop database if exists ${unfinished}`)
    await admin.query(`create database ${unfinished}`)
    const world = await loadWorld()
    await withDatabase(url, unfinished, client => fillCities(client, world))
    try {
      await admin.query(`alter database ${unfinished} rename to ${TEMPLATE}`)
    } catch (error) {
      await admin.query(`drop database ${unfinished}`)
      // Another run was faster.
      if ((error as { code?: unknown }).code !== DUPLICATE_DATABASE) throw error
    }
  } finally {
    await admin.end()
  }
}

/** Creates and fills `cities` in the database of `client`. */
export async function fillCities(client: pg.Client, world: World): Promise<void> {
  await client.query(`
    create table cities (
      id int primary key, name text not null, country text not null, admin_code text not null,
      population int not null, lat float8 not null, lon float8 not null)`)
  for (let from = 0; from < world.cities.length; from += BATCH) {
    const rows = world.cities.slice(from, from + BATCH)
    await client.query(
      `insert into cities
        select * from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::int[], $6::float8[], $7::float8[])`,
      [
        rows.map(c => c.id),
        rows.map(c => c.name),
        rows.map(c => c.country),
        rows.map(c => c.adminCode),
        rows.map(c => c.population),
        rows.map(c => c.lat),
        rows.map(c => c.lon),
      ],
    )
  }
  await client.query('create index on cities (country)')
  // Frozen, so that no reader of a copy has to write hint bits.
  await client.query('vacuum (freeze, analyze) cities')
}

async function withDatabase(url: string, database: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const other = new URL(url)
  other.pathname = `/${database}`
  const client = new pg.Client({ connectionString: other.href })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
