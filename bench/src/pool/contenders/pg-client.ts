/** A client of pg in pipeline mode, and nothing around it: what one connection carries with pg's own queue. */

import type { City } from '../../data/world.js'
import { cityQuery } from './city-query.js'
import type { PoolContender } from './contender.js'
import { openClient } from './open-client.js'

export const pgClient: PoolContender = {
  open(connectionString) {
    const opening = openClient(connectionString, () => {}, { pipeline: true })
    const end = async (): Promise<void> => (await opening).end()
    return {
      city: async id => (await (await opening).query<City>(cityQuery(id))).rows[0],
      query: async text => (await opening).query(text),
      end,
      forceEnd: end,
    }
  },
}
