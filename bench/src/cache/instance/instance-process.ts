/** The program that the bench forks for each contender: one cache, and the load on it in the same event loop. */

import { answerCalls } from '../../process/answer-calls.js'
import type { OpenCache } from '../contenders/contender.js'
import { importContender } from '../contenders/index.js'
import type { CacheCalls, ReadOutcome } from '../protocol.js'
import { audit } from './audit.js'
import { measureBytesHeld, measureHits, measureMemoryHits } from './hits.js'
import { CountedSource } from './source.js'

/** Some caches put nothing before a key, and here all share one Redis. */
let prefix = ''
let opened: { readonly cache: OpenCache; readonly source: CountedSource } | undefined

// What a library throws where nobody can catch it is its own fault, and not the end of the comparison.
process.on('uncaughtException', () => {})
process.on('unhandledRejection', () => {})

answerCalls<CacheCalls>({
  async open({ contender, source, ...order }) {
    prefix = contender.replace(/\W+/g, '-')
    const counted = new CountedSource(source)
    const { open } = await importContender(contender)
    opened = { cache: await open({ ...order, load: counted.load }), source: counted }
  },
  hits: order => measureHits(present().cache, prefix, order),
  memoryHits: ({ cpuMs, peek }) => measureMemoryHits(present().cache, cpuMs, peek),
  async storm({ key, callers }) {
    const { cache, source } = present()
    const before = source.loads
    const startedAt = performance.now()
    const outcomes = await Promise.allSettled(Array.from({ length: callers }, async () => cache.get(key)))
    const failed = outcomes.filter(({ status }) => status === 'rejected').length
    return { ms: performance.now() - startedAt, failed, loads: source.loads - before }
  },
  async read({ key, capMs }) {
    const startedAt = performance.now()
    const { cache } = present()
    let cap: NodeJS.Timeout | undefined
    const outcome = await Promise.race<ReadOutcome['outcome']>([
      Promise.resolve(cache.get(key)).then(
        () => 'answered',
        () => 'failed',
      ),
      new Promise(resolve => {
        cap = setTimeout(resolve, capMs, 'pending')
      }),
    ])
    clearTimeout(cap)
    return { ms: performance.now() - startedAt, outcome }
  },
  audit: order => audit(present().cache, present().source, order),
  bytesHeld: ({ entries }) => measureBytesHeld(present().cache, entries),
  async close() {
    opened?.source.close()
    await opened?.cache.close()
  },
})

function present(): NonNullable<typeof opened> {
  if (opened === undefined) throw new Error('nothing was opened')
  return opened
}
