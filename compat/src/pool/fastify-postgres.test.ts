/** @fastify/postgres over our Pool, by its `pg` option. */

import { Pool } from '@breakwater/pool'
import breakwaterPg from '@breakwater/pool/pg'
import fastifyPostgres from '@fastify/postgres'
import { type FastifyInstance, fastify } from 'fastify'
import pg from 'pg'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { useDatabase } from '../kit/database.js'

const database = useDatabase()
beforeAll(() => database.query('create table crate (id serial primary key, label text not null)'))

describe.each([
  ['pg with Pool replaced', { ...pg, Pool }],
  ['the whole module', breakwaterPg],
])('with %s', (_, driver) => {
  async function open(): Promise<FastifyInstance> {
    const app = fastify()
    onTestFinished(async () => {
      await app.close()
      await database.expectNoConnection()
    })
    await app.register(fastifyPostgres, { pg: driver, connectionString: database.url, max: 2 })
    expect(app.pg.pool).toBeInstanceOf(Pool)
    return app
  }

  it('serves queries, by promise and by callback', async () => {
    const app = await open()
    app.get<{ Params: { n: string } }>('/double/:n', async ({ params }) => {
      const { rows } = await app.pg.query('select 2 * $1::int as doubled', [params.n])
      return rows[0]
    })
    app.get('/callback', (_request, reply) => {
      app.pg.connect((error, client, release) => {
        client?.query('select 1 as one', (failed, result) => {
          release()
          reply.send(error ?? failed ?? result.rows[0])
        })
      })
    })
    expect((await app.inject('/double/21')).json()).toEqual({ doubled: 42 })
    expect((await app.inject('/callback')).json()).toEqual({ one: 1 })
  })

  it('commits and rolls back its transactions', async () => {
    const app = await open()
    const { id } = await app.pg.transact(async client => {
      const { rows } = await client.query(`insert into crate (label) values ('kept') returning id`)
      return rows[0]
    })
    const failed = app.pg.transact(async client => {
      await client.query(`insert into crate (label) values ('dropped')`)
      throw new Error('changed my mind')
    })
    await expect(failed).rejects.toThrow('changed my mind')
    const { rows } = await app.pg.query(`select label from crate where id >= $1`, [id])
    expect(rows).toEqual([{ label: 'kept' }])
    // The plugin rejects before it has rolled back.
    await expect.poll(() => app.pg.pool.totalCount - app.pg.pool.idleCount).toBe(0)
  })

  it('gives a route a client in a transaction, which an error rolls back', async () => {
    const app = await open()
    const store = async (label: string) => app.inject({ method: 'POST', url: `/crate/${label}` })
    app.post<{ Params: { label: string } }>('/crate/:label', { pg: { transact: true } }, async request => {
      const { label } = request.params
      await request.pg?.query('insert into crate (label) values ($1)', [label])
      if (label === 'bad') throw new Error('bad label')
      return { label }
    })
    expect((await store('good')).statusCode).toBe(200)
    expect((await store('bad')).statusCode).toBe(500)
    const { rows } = await app.pg.query(`select label from crate where label in ('good', 'bad')`)
    expect(rows).toEqual([{ label: 'good' }])
    await app.pg.query(`delete from crate where label = 'good'`)
  })

  it("answers with the driver's error, and goes on", async () => {
    const app = await open()
    await expect(app.pg.query('select bad')).rejects.toMatchObject({ code: '42703' })
    expect((await app.pg.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})
