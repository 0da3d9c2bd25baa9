/** Starts a server on a free port; a port that another process took in the meantime is no failure. */

import { freePort } from './port.js'
import { type ServerCommand, ServerProcess } from './server-process.js'

const TRIES = 5

export interface Started {
  readonly process: ServerProcess
  readonly port: number
}

/** @param configure writes what the server needs to know for this port and returns how to start it. */
export async function startOnFreePort(configure: (port: number) => Promise<ServerCommand>): Promise<Started> {
  for (let tries = 1; ; tries++) {
    const port = await freePort()
    const server = new ServerProcess(await configure(port))
    try {
      await server.start()
      return { process: server, port }
    } catch (error) {
      if (tries === TRIES || !/address already in use/i.test(server.logTail)) throw error
    }
  }
}
