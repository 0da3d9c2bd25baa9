/** One figure of one metric, as plain data: what an exporter reads. */

import type { Durations } from '@breakwater/kernel'
import type { MetricName } from './catalog.js'

export interface Sample {
  readonly name: MetricName
  readonly labels: Readonly<Record<string, string>>
  /** A number; of a histogram the durations, in ms. */
  readonly value: number | Durations
}

/** Collects samples; what is undefined is left out. */
export class Samples {
  readonly all: Sample[] = []

  add(name: MetricName, value: number | Durations | undefined, labels: Record<string, string | undefined> = {}): void {
    if (value === undefined) return
    const known = Object.entries(labels).filter((label): label is [string, string] => label[1] !== undefined)
    this.all.push({ name, value, labels: Object.fromEntries(known) })
  }

  /** 1 for the state that is, 0 for the others. */
  addState(
    name: MetricName,
    label: string,
    states: readonly string[],
    state: string,
    labels: Record<string, string> = {},
  ): void {
    for (const each of states) this.add(name, each === state ? 1 : 0, { ...labels, [label]: each })
  }
}
