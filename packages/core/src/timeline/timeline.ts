/** How a start and a stop went, step by step: as data, and drawn. */

import { toChromeTrace } from './chrome-trace.js'
import { type Half, halvesOf } from './halves.js'
import { toFlowchart, toGantt } from './mermaid.js'
import type { TimelineStep } from './record.js'
import { toTree } from './tree.js'

export class Timeline {
  /** The way of the process up to here: `process`, `imports`. */
  readonly boot: readonly TimelineStep[]
  /** Of the components, and the waits of the stop, in the order in which they began. */
  readonly steps: readonly TimelineStep[]
  /** By component, what it depends on. */
  readonly needs: Readonly<Record<string, readonly string[]>>

  constructor(
    boot: readonly TimelineStep[],
    steps: readonly TimelineStep[],
    needs: ReadonlyMap<string, readonly string[]> = new Map(),
  ) {
    this.boot = boot
    this.steps = steps
    this.needs = Object.fromEntries(needs)
  }

  /** Returns plain data, for `JSON.stringify` too. */
  toJSON(): Pick<Timeline, 'boot' | 'steps' | 'needs'> {
    const { boot, steps, needs } = this
    return { boot, steps, needs }
  }

  /** Returns a tree for a terminal: `*` marks the critical path, `!` what did not go well. */
  toString(): string {
    return toTree(halvesOf(this))
  }

  /**
   * Returns a diagram for Mermaid, with milliseconds on each step. Steps on the critical path are marked, and so are those
   * that did not go well.
   * @param kind `gantt` has both the start and the stop; a `flowchart` has one of them.
   */
  toMermaid(kind: 'gantt' | 'flowchart' = 'gantt', half: Half['name'] = 'start'): string {
    const halves = halvesOf(this)
    if (kind === 'gantt') return toGantt(halves)
    return toFlowchart(halves.find(each => each.name === half) ?? { name: half, steps: [] }, this.needs)
  }

  /** Returns what Perfetto and `chrome://tracing` open, once it is written as JSON. */
  toChromeTrace(): ReturnType<typeof toChromeTrace> {
    return toChromeTrace(halvesOf(this))
  }
}
