import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { Events } from './events.js'

describe('Events', () => {
  it('reach each listener in the order of subscription, until it leaves', () => {
    const events = new Events<{ type: 'a' | 'b' }>()
    const heard: string[] = []
    const leave = events.subscribe(event => heard.push(`1${event.type}`))
    events.subscribe(event => heard.push(`2${event.type}`))
    events.emit({ type: 'a' })
    leave()
    events.emit({ type: 'b' })
    expect(heard).toEqual(['1a', '2a', '2b'])
    expect(events.hasListeners).toBe(true)
  })

  it('are not disturbed by a listener that throws, which is warned of', async () => {
    const events = new Events<{ type: 'a' }>()
    let heard = 0
    events.subscribe(() => {
      throw new Error('broken listener')
    })
    events.subscribe(() => heard++)
    const warned = once(process, 'warning')
    events.emit({ type: 'a' })
    expect(heard).toBe(1)
    expect(String((await warned)[0])).toContain('broken listener')
  })

  it('let a listener leave while they are handed out', () => {
    const events = new Events<{ type: 'a' }>()
    let heard = 0
    const leave = events.subscribe(() => leave())
    events.subscribe(() => heard++)
    events.emit({ type: 'a' })
    expect(heard).toBe(1)
  })
})
