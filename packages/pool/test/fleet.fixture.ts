/** An instance in a process of its own, to be killed. Argument: the database's URL. */

import { Instance } from './fleet-instance.js'

const instance = new Instance({ connectionString: process.argv[2] })
instance.load(10)
// Without a channel its parent is gone.
process.on('disconnect', () => process.exit())
setInterval(() => process.send?.({ held: instance.held, errors: instance.errors.map(String) }), 20)
