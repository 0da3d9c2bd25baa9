/** Random numbers that a seed decides: the same seed and purpose give the same numbers on every machine. */

import { createHash } from 'node:crypto'

/** Returns a number in [0, 1). */
export type Random = () => number

/**
 * Returns a generator of its own for `purpose`, so that drawing more numbers for one thing changes no other.
 * The generator is sfc32. Source: Chris Doty-Humphrey, PractRand, `sfc32`; it passes PractRand and has a period of at
 * least 2^32. Its 128 bits of state are the head of SHA-256 over seed and purpose.
 */
export function createRandom(seed: number, ...purpose: readonly (string | number)[]): Random {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, ...purpose]))
    .digest()
  let [a, b, c, counter] = [digest.readInt32LE(0), digest.readInt32LE(4), digest.readInt32LE(8), digest.readInt32LE(12)]
  return () => {
    const out = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + out) | 0
    return (out >>> 0) / 2 ** 32
  }
}

/**
 * Returns a generator whose numbers are spread evenly: of `parts` in a row, in an order by chance, one comes from each of as
 * many equal parts of [0, 1). What is drawn with it is the same on average already over a few.
 */
export function evenly(random: Random, parts: number): Random {
  let left: number[] = []
  return () => {
    if (left.length === 0) left = Array.from({ length: parts }, (_, part) => part)
    const [part = 0] = left.splice(Math.floor(random() * left.length), 1)
    return (part + random()) / parts
  }
}
