/** Queries that say whose they are, in the database's own words about them. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { eventually } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import { row, shared, useSquares } from '../../test/sharing-kit.js'
import { withComment } from './comment.js'

const database = useSquares()
const context = new AsyncLocalStorage<string>()
const OWN = 'select query from pg_stat_activity where pid = pg_backend_pid()'

describe('the comment', () => {
  it.each([
    ['select 1', { b: '2', a: '1' }, "select 1 /*a='1',b='2'*/"],
    ['select 1; ', { a: '1' }, "select 1 /*a='1'*/;"],
    [
      'select 1',
      { route: "/x*/'; drop table t --", é: 'ü' },
      "select 1 /*%C3%A9='%C3%BC',route='%2Fx*%2F%27%3B%20drop%20table%20t%20--'*/",
    ],
    ['select 1', { half: '\ud800' }, "select 1 /*half='%EF%BF%BD'*/"],
    ['select 1', { a: undefined }, 'select 1'],
    ['select 1 /* mine */', { a: '1' }, 'select 1 /* mine */'],
    ['select 1 -- mine', { a: '1' }, 'select 1 -- mine'],
  ])('of %s with %o', (text, tags, expected) => {
    expect(withComment(text, tags)).toBe(expected)
    expect(withComment({ text }, tags)).toMatchObject({ text: expected })
  })

  it('leaves what has a name, and whatever is no query, as it is', () => {
    for (const query of [{ text: 'select 1', name: 'one' }, { text: 1 }, null, undefined]) {
      expect(withComment(query, { a: '1' })).toBe(query)
    }
  })

  it('keeps what an object of a class has', () => {
    class Template {
      readonly parts = ['select ', '']
      get text() {
        return this.parts.join('$1')
      }
      get values() {
        return [7]
      }
    }
    const query = withComment(new Template(), { a: '1' })
    expect((query as Template).text).toBe("select $1 /*a='1'*/")
    expect((query as Template).values).toEqual([7])
  })
})

describe('a pool with queryTags', () => {
  const tagged = (options = {}) =>
    database.sharing({ max: 2, queryTags: () => ({ who: context.getStore() }), ...options })

  it('writes them behind each query of its own and of its clients, in its caller’s context', async () => {
    const pool = await tagged()
    const texts = await Promise.all(
      ['a', 'b'].map(who =>
        context.run(who, async () => {
          const client = await pool.connect()
          const { rows } = await client.query(OWN)
          const told = await new Promise(resolve => {
            void client.query({ text: OWN }, (_: unknown, result) => resolve(result.rows[0].query))
          })
          client.release()
          return [rows[0].query, told, (await pool.query(OWN)).rows[0].query]
        }),
      ),
    )
    expect(texts).toEqual(['a', 'b'].map(who => Array(3).fill(`${OWN} /*who='${who}'*/`)))
    expect((await pool.query(OWN)).rows[0].query).toBe(OWN)
  })

  it('has them in lanes as well, where no text is prepared that comes but once', async () => {
    const pool = await tagged({ max: 1 })
    const quick = { text: `${OWN} and $1 = $1::int`, values: [1] }
    for (let round = 0; round < 3; round++) {
      await Promise.all(['a', 'b'].map(who => context.run(who, () => row(pool, 2))))
    }
    // Its first time it goes alone, and on a busy machine it may take a few until it is known to be quick.
    await eventually(async () => {
      const before = shared(pool)
      const { rows } = await context.run('a', () => pool.query(quick))
      expect(rows).toEqual([{ query: `${quick.text} /*who='a'*/` }])
      expect(shared(pool)).toBeGreaterThan(before)
    })
    const { rows } = await pool.query("select from pg_prepared_statements where name like 'bw_%'")
    expect(rows).toEqual([])
    expect(pool.stats().lanes?.shapes).toBeLessThan(6)
  })
})
