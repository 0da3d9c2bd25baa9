import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CacheKey, encodeKey, KeyLayout } from './keys.js'

const scalar = fc.oneof(
  fc.string(),
  fc.maxSafeInteger(),
  fc.bigInt(),
  fc.constantFrom('[', "'", "'[", '["a"]', '', ':', '{0}'),
)
const key = fc.oneof(scalar, fc.array(scalar, { maxLength: 4 }))

/** What a key means: its parts as text, and whether it is a tuple. */
const meaning = (k: CacheKey): string => JSON.stringify(Array.isArray(k) ? k.map(String) : String(k))

describe('encodeKey', () => {
  it('gives two keys one text exactly when they mean the same', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(encodeKey(a) === encodeKey(b)).toBe(meaning(a) === meaning(b))
      }),
      // Chance alone seldom finds two that look alike.
      { examples: [['["a"]', ['a']] as const, ['[', "'["] as const].map(([a, b]): [CacheKey, CacheKey] => [a, b]) },
    )
  })

  it('takes a number, a bigint and their text for one key, since drivers hand ids out in all three forms', () => {
    expect([42, 42n, '42'].map(encodeKey)).toEqual(['42', '42', '42'])
    expect(encodeKey(['a', 1])).toBe(encodeKey(['a', '1']))
  })

  it('refuses what has no canonical text', () => {
    for (const bad of [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      2 ** 53,
      null,
      undefined,
      {},
      true,
      [null],
      [[1]],
      'x'.repeat(1_025),
    ]) {
      expect(() => encodeKey(bad as CacheKey)).toThrow(
        expect.objectContaining({ kind: 'usage', code: 'CACHE_KEY_INVALID' }),
      )
    }
  })
})

describe('KeyLayout', () => {
  it('keeps all that one script touches under one hash tag, whatever the key holds', () => {
    const layout = new KeyLayout('app', '0')
    const tag = (redisKey: string): string | undefined => /\{(.*?)\}/.exec(redisKey)?.[1]
    for (const text of ['1', '{x}', 'a}b{c', ':', '']) {
      const keys = [...layout.control(), ...layout.of('s', text)]
      expect(new Set(keys.map(tag))).toEqual(new Set(['0']))
      expect(new Set(keys).size).toBe(keys.length)
    }
  })
})
