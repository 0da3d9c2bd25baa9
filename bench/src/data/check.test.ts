/** That no wrong reply passes for a right one. */

import { describe, expect, it } from 'vitest'
import { createCheck } from './check.js'
import { entities } from './entities.js'
import { loadWorld } from './world.js'

const world = await loadWorld()
const known = world.cities[100]

describe('the check of a reply', () => {
  const check = createCheck(entities.city, world)

  it('passes the row of the table, also after it went through JSON', () => {
    expect(check(known?.id ?? 0, JSON.parse(JSON.stringify(known)))).toBe(true)
  })

  it('passes null for an id that the table does not have, and nothing else', () => {
    expect(check(1, null)).toBe(true)
    expect(check(1, undefined)).toBe(false)
    expect(check(1, known)).toBe(false)
  })

  it('fails a missing row, another row, and a row with a field changed, gone or added', () => {
    const { name: _, ...nameless } = known ?? { name: '' }
    const wrong = [null, undefined, world.cities[101], { ...known, population: 1 }, nameless, { ...known, extra: 1 }]
    expect(wrong.map(each => check(known?.id ?? 0, each))).toEqual(wrong.map(() => false))
  })

  it('fails a report in which one number of one city differs', () => {
    const checkReport = createCheck(entities.country, world)
    const report = structuredClone(entities.country.truth(world)('LI')) as { largest: { around: number }[] }
    expect(checkReport('LI', report)).toBe(true)
    if (report.largest[3]) report.largest[3].around += 1
    expect(checkReport('LI', report)).toBe(false)
  })
})

describe('the world', () => {
  it('has all 135,233 cities, largest first', () => {
    expect(world.byId.size).toBe(135_233)
    expect(world.cities).toHaveLength(135_233)
    expect(
      world.cities.every((each, place) => each.population <= (world.cities[place - 1]?.population ?? Infinity)),
    ).toBe(true)
    expect(world.cities[0]).toMatchObject({ name: 'Shanghai', country: 'CN' })
  })
})
