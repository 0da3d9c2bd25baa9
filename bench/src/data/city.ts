/** One city by its id: the cheap read of which a service does most. */

import type { Entity } from './entity.js'

export const city: Entity = {
  name: 'city',
  sql: 'select id, name, country, admin_code as "adminCode", population, lat, lon from cities where id = $1',
  idsSql: 'select id from cities where id > $1 order by id limit $2',
  truth: world => id => world.byId.get(Number(id)) ?? null,
}
