import { describe, expect, it } from 'vitest'
import { summaryOf, withoutValues } from './query-text.js'

describe('the text of a query without its values', () => {
  it.each([
    ["select 'it''s', \"a1\" from t1 where n = -12.5e3 and m = $1", 'select ?, "a1" from t1 where n = -? and m = $1'],
    ["select E'a\\'b', e'x' || 'C:\\'", 'select ?, ? || ?'],
    ['do $$ begin perform 1; end $$', 'do ?'],
    ["select $body$it's$body$, $2", 'select ?, $2'],
    ['select u.id2 from users2 u limit 10', 'select u.id2 from users2 u limit ?'],
  ])('%s', (text, plain) => expect(withoutValues(text)).toBe(plain))
})

describe('the summary of a query', () => {
  it.each([
    ['select * from users where id = $1', 'SELECT users'],
    ['/* a comment */ -- another\n insert into "Order".lines values (1)', 'INSERT "Order".lines'],
    ['update only t set a = 1', 'UPDATE t'],
    ['create table if not exists t (id int)', 'CREATE t'],
    ["select 'from secret'", 'SELECT'],
    ['begin', 'BEGIN'],
    ['', 'QUERY'],
  ])('%s', (text, summary) => expect(summaryOf(text)).toBe(summary))
})
