import { describe, expect, it } from 'vitest'
import { Outbox } from './outbox.js'

const never = async (): Promise<never> => {
  throw new Error('not to be told')
}

describe('Outbox', () => {
  it('tells all it keeps, the last of each, and forgets it', async () => {
    const outbox = new Outbox(10)
    const told: string[] = []
    outbox.keep('s', 'a', never, never)
    for (const id of ['a', 'b']) outbox.keep('s', id, async () => told.push(id), never)
    outbox.keep('t', 'a', async () => told.push('t:a'), never)
    expect(outbox.size).toBe(3)
    await outbox.flush()
    expect(told.sort()).toEqual(['a', 'b', 't:a'])
    expect(outbox.isEmpty).toBe(true)
  })

  it('keeps what could not be told, and says why', async () => {
    const outbox = new Outbox(10)
    let down = true
    outbox.keep('s', 'a', async () => 1, never)
    const tell = async (): Promise<void> => {
      if (down) throw new Error('down')
    }
    outbox.keep('s', 'b', tell, never)
    await expect(outbox.flush()).rejects.toThrow('down')
    expect(outbox.size).toBe(1)
    down = false
    await outbox.flush()
    expect(outbox.isEmpty).toBe(true)
  })

  it('keeps what came in the place of something that was being told', async () => {
    const outbox = new Outbox(10)
    let told = 0
    const later = async (): Promise<void> => {
      told++
    }
    outbox.keep('s', 'a', async () => outbox.keep('s', 'a', later, never), never)
    await outbox.flush()
    expect(told).toBe(1)
    expect(outbox.isEmpty).toBe(true)
  })

  it('says one thing in the place of a group that is too long, and drops nothing of the others', async () => {
    const outbox = new Outbox(2)
    const told: string[] = []
    const clear = async (): Promise<unknown> => told.push('clear s')
    for (const id of ['a', 'b', 'c']) outbox.keep('s', id, never, clear)
    outbox.keep('t', 'a', async () => told.push('t:a'), never)
    expect(outbox.size).toBe(2)
    await outbox.flush()
    expect(told.sort()).toEqual(['clear s', 't:a'])
  })
})
