/** The entities by name. */

import { city } from './city.js'
import { country } from './country.js'
import type { Entity } from './entity.js'

export const entities: Readonly<Record<Entity['name'], Entity>> = { city, country }
