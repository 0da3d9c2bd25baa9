/** The query that all contenders run, as pg's clients take it: named, so that a connection parses it once. */

import { city } from '../../data/city.js'

export function cityQuery(id: number): { name: string; text: string; values: number[] } {
  return { name: city.name, text: city.sql, values: [id] }
}
