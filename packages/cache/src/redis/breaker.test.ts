import { afterEach, describe, expect, it } from 'vitest'
import { Breaker } from './breaker.js'

const breakers: Breaker[] = []
const make = (resetMs = 30): Breaker => {
  const breaker = new Breaker({ resetMs })
  breakers.push(breaker)
  return breaker
}
afterEach(() => {
  for (const breaker of breakers.splice(0)) breaker.dispose()
})

const ok = async (): Promise<string> => 'ok'
const lost = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
const fail = async (): Promise<never> => {
  throw lost
}
const answer = (message: string) => async (): Promise<never> => {
  throw Object.assign(new Error(message), { name: 'ReplyError' })
}
const halfOpen = async (breaker: Breaker): Promise<void> => {
  while (breaker.state === 'open') await new Promise(resolve => setTimeout(resolve, 5))
}

describe('Breaker', () => {
  it('opens when half of the operations fail, and then asks nobody', async () => {
    const breaker = make(60_000)
    for (let i = 0; i < 10; i++) await breaker.run(i % 2 ? ok : fail).catch(error => expect(error).toBe(lost))
    for (let i = 0; i < 10 && breaker.state === 'closed'; i++) await breaker.run(fail).catch(() => {})
    expect(breaker.state).toBe('open')
    expect(breaker.transitions).toEqual({ closed: 0, open: 1, 'half-open': 0 })
    let asked = 0
    const refused = breaker.run(async () => asked++)
    await expect(refused).rejects.toMatchObject({ kind: 'rejected', code: 'REDIS_BREAKER_OPEN', cause: lost })
    expect(asked).toBe(0)
  })

  it('stays closed for a failure now and then among many answers', async () => {
    const breaker = make()
    for (let i = 0; i < 300; i++) await breaker.run(i % 30 === 0 ? fail : ok).catch(() => {})
    expect(breaker.state).toBe('closed')
  })

  it('takes the server’s answer to a mistake for an answer', async () => {
    const breaker = make(60_000)
    // From its first failure on it counts.
    await breaker.run(fail).catch(() => {})
    for (let i = 0; i < 50; i++) {
      await expect(breaker.run(answer('WRONGTYPE Operation against a key'))).rejects.toThrow('WRONGTYPE')
      await expect(breaker.run(answer('NOSCRIPT No matching script'))).rejects.toThrow('NOSCRIPT')
    }
    expect(breaker.state).toBe('closed')
  })

  it('takes the answer of a server that cannot serve for a failure', async () => {
    const breaker = make(60_000)
    for (let i = 0; i < 20; i++) {
      await breaker.run(answer('LOADING Redis is loading the dataset in memory')).catch(() => {})
    }
    expect(breaker.state).toBe('open')
  })

  it('lets one operation try after its time, and refuses the others meanwhile without counting them', async () => {
    const breaker = make()
    breaker.trip()
    expect(breaker.state).toBe('open')
    await halfOpen(breaker)
    let letGo!: (value: string) => void
    const trying = breaker.run(
      () =>
        new Promise<string>(resolve => {
          letGo = resolve
        }),
    )
    for (let i = 0; i < 50; i++) await expect(breaker.run(ok)).rejects.toMatchObject({ code: 'REDIS_BREAKER_OPEN' })
    letGo('ok')
    expect(await trying).toBe('ok')
    expect(breaker.state).toBe('closed')
    expect(breaker.transitions).toEqual({ closed: 1, open: 1, 'half-open': 1 })
    expect(await breaker.run(ok)).toBe('ok')
  })

  it('opens again when the one that tries fails', async () => {
    const breaker = make()
    breaker.trip()
    await halfOpen(breaker)
    await breaker.run(fail).catch(() => {})
    expect(breaker.state).toBe('open')
  })
})
