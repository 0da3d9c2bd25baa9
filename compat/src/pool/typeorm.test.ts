/** TypeORM's Postgres driver over our Pool: its documented `driver` option, with Pool changed or the whole module. */

import { Pool } from '@breakwater/pool'
import breakwaterPg from '@breakwater/pool/pg'
import pg from 'pg'
import { DataSource, EntitySchema, QueryFailedError } from 'typeorm'
import { describe, expect, it, onTestFinished } from 'vitest'
import { APPLICATION_NAME, useDatabase } from '../kit/database.js'

interface User {
  id: number
  name: string
}

const UserEntity = new EntitySchema<User>({
  name: 'User',
  columns: {
    id: { type: Number, primary: true, generated: true },
    name: { type: String, unique: true },
  },
})

const database = useDatabase()

describe.each([
  ['pg with Pool replaced', { ...pg, Pool }],
  ['the whole module', breakwaterPg],
])('with %s as its driver', (_, driver) => {
  async function connect(poolSize = 2): Promise<DataSource> {
    const source = await new DataSource({
      type: 'postgres',
      driver,
      url: database.url,
      applicationName: APPLICATION_NAME,
      poolSize,
      entities: [UserEntity],
      dropSchema: true,
      synchronize: true,
    }).initialize()
    onTestFinished(async () => {
      if (source.isInitialized) await source.destroy()
      await database.expectNoConnection()
    })
    return source
  }

  it('makes its schema, saves, finds and removes', async () => {
    const source = await connect()
    const users = source.getRepository(UserEntity)
    const ada = await users.save({ name: 'Ada' })
    expect(await users.findOneByOrFail({ id: ada.id })).toEqual({ id: ada.id, name: 'Ada' })
    expect(await users.findAndCount({ where: { name: 'Ada' } })).toEqual([[ada], 1])
    await users.remove(await users.findOneByOrFail({ name: 'Ada' }))
    expect(await users.count()).toBe(0)
  })

  it('commits a transaction, and rolls back one whose function throws', async () => {
    const source = await connect()
    await source.transaction(async manager => void (await manager.save(UserEntity, { name: 'Grace' })))
    const failed = source.transaction(async manager => {
      await manager.save(UserEntity, { name: 'Nobody' })
      expect(await source.getRepository(UserEntity).countBy({ name: 'Nobody' })).toBe(0)
      throw new Error('changed my mind')
    })
    await expect(failed).rejects.toThrow('changed my mind')
    expect(await source.getRepository(UserEntity).find()).toEqual([expect.objectContaining({ name: 'Grace' })])
  })

  it('holds one connection for a query runner until it is released', async () => {
    const source = await connect(1)
    const runner = source.createQueryRunner()
    await runner.connect()
    await runner.startTransaction()
    const pids = [
      await runner.query('select pg_backend_pid() as pid'),
      await runner.query('select pg_backend_pid() as pid'),
    ]
    expect(pids[0]).toEqual(pids[1])
    await runner.rollbackTransaction()
    const waiting = source.query('select 1 as one')
    await runner.release()
    expect(await waiting).toEqual([{ one: 1 }])
  })

  it("wraps the driver's error in its own, and goes on", async () => {
    const source = await connect(1)
    const users = source.getRepository(UserEntity)
    await users.insert({ name: 'twice' })
    const error = await users.insert({ name: 'twice' }).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(QueryFailedError)
    expect(error).toMatchObject({ driverError: { code: '23505' } })
    expect(await users.count()).toBe(1)
  })

  it('lets a query runner go whose backend is killed, and connects anew', async () => {
    const source = await connect(1)
    const runner = source.createQueryRunner()
    await runner.connect()
    await database.killBackends()
    await expect(runner.query('select 1')).rejects.toThrow()
    await runner.release()
    expect(await source.query('select 1 as one')).toEqual([{ one: 1 }])
  })

  it('says in the words of pg that it could not connect', async () => {
    const source = new DataSource({ type: 'postgres', driver, url: `${database.url}&user=nobody_at_all` })
    await expect(source.initialize()).rejects.toMatchObject({ code: '28000' })
    await database.expectNoConnection()
  })
})
