/**
 * A country's report: its largest cities, each with the number of people living around it in that country. For a large
 * country it costs the database tens of milliseconds, as the answer behind a hot key often does.
 */

import type { Entity } from './entity.js'
import type { City, World } from './world.js'

const LARGEST = 5
/** Degrees to each side; both sides compute it with the same doubles, so the two answers are equal to the last bit. */
const AROUND = 1

interface CountryReport {
  readonly country: string
  readonly cities: number
  readonly population: number
  readonly largest: readonly { id: number; name: string; population: number; around: number }[]
}

export const country: Entity = {
  name: 'country',
  sql: `
    select $1::text as country, count(*)::int as cities, sum(population)::float8 as population,
      (select json_agg(l) from (
        select c.id, c.name, c.population,
          (select sum(n.population)::float8 from cities n
            where n.country = $1 and abs(n.lat - c.lat) <= ${AROUND} and abs(n.lon - c.lon) <= ${AROUND}) as around
        from (select * from cities where country = $1 order by population desc, id limit ${LARGEST}) c
        order by c.population desc, c.id) l) as largest
    from cities where country = $1 having count(*) > 0`,
  truth(world) {
    const reports = new Map<string, CountryReport | null>()
    return id => {
      const code = String(id)
      let known = reports.get(code)
      if (known === undefined) {
        known = report(world, code)
        reports.set(code, known)
      }
      return known
    }
  },
}

function report(world: World, code: string): CountryReport | null {
  const cities = world.cities.filter(each => each.country === code)
  if (cities.length === 0) return null
  const largest = cities
    .slice(0, LARGEST)
    .map(({ id, name, population, lat, lon }) => ({ id, name, population, around: peopleAround(cities, lat, lon) }))
  return { country: code, cities: cities.length, population: people(cities), largest }
}

function peopleAround(cities: readonly City[], lat: number, lon: number): number {
  return people(cities.filter(n => Math.abs(n.lat - lat) <= AROUND && Math.abs(n.lon - lon) <= AROUND))
}

function people(cities: readonly City[]): number {
  return cities.reduce((sum, each) => sum + each.population, 0)
}
