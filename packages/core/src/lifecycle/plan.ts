/** Turns components that name each other into levels: nothing in a level needs anything of its own or of a later level. */

import { Faults } from '@breakwater/kernel'
import { type BuiltInComponent, checkComponent } from './component.js'
import { Part } from './part.js'

export interface Plan {
  /** In the order in which they were added. */
  readonly parts: readonly Part[]
  /** First to last started; the parts of one level start in parallel. */
  readonly startLevels: readonly (readonly Part[])[]
  /** First to last stopped; the parts of one level stop in parallel. */
  readonly stopLevels: readonly (readonly Part[])[]
  /** By component, what it depends on. */
  readonly needs: Needs
}

/** A component as it was added. */
export interface Entry {
  readonly component: BuiltInComponent
  /** What it depends on when it does not say so itself; `others`: all that are added without this word. */
  readonly defaultNeeds: readonly string[] | 'others'
}

type Needs = ReadonlyMap<string, readonly string[]>

/**
 * Orders what was added.
 * @throws {BreakwaterError} kind `usage`, code `COMPONENTS_INVALID`, naming every component that is wrong: a bad option,
 * a name taken twice, a name that no component has, a cycle (with its path).
 */
export function planOf(entries: readonly Entry[]): Plan {
  const faults = new Faults()
  for (const { component } of entries) checkComponent(component, faults)
  faults.throwIfAny('COMPONENTS_INVALID', 'components')

  const parts = new Map<string, Part>()
  for (const { component } of entries) {
    faults.check(!parts.has(component.name), `"${component.name}" is the name of two components`)
    parts.set(component.name, new Part(component))
  }
  const others = entries.filter(each => each.defaultNeeds !== 'others').map(each => each.component.name)
  const needs: Needs = new Map(
    entries.map(({ component, defaultNeeds }) => [
      component.name,
      component.dependsOn ?? (defaultNeeds === 'others' ? others : defaultNeeds),
    ]),
  )
  const names = [...parts.keys()]
  for (const [name, needed] of needs) {
    for (const each of needed) {
      faults.check(
        parts.has(each),
        `"${name}" depends on "${each}", which is not there (there are: ${names.join(', ')})`,
      )
    }
  }
  for (const cycle of cyclesOf(needs)) faults.check(false, `${cycle.join(' -> ')} is a cycle`)
  faults.throwIfAny('COMPONENTS_INVALID', 'components')

  const stopNeeds: Needs = new Map(
    entries.map(({ component: { name, stopsBefore = [] } }) => [name, [...(needs.get(name) ?? []), ...stopsBefore]]),
  )
  const toParts = (level: readonly string[]): Part[] => level.map(name => parts.get(name) as Part)
  return {
    parts: [...parts.values()],
    startLevels: levelsOf(needs).map(toParts),
    stopLevels: levelsOf(stopNeeds).reverse().map(toParts),
    needs,
  }
}

/** Takes off level by level what needs nothing that is left. Ends with a rest only when `needs` has a cycle. */
function peel(needs: Needs): { levels: string[][]; rest: Map<string, readonly string[]> } {
  const rest = new Map(needs)
  const levels: string[][] = []
  for (;;) {
    const level = [...rest.keys()].filter(name => !rest.get(name)?.some(each => rest.has(each)))
    if (level.length === 0) return { levels, rest }
    for (const name of level) rest.delete(name)
    levels.push(level)
  }
}

function levelsOf(needs: Needs): string[][] {
  return peel(needs).levels
}

/** Finds cycles, each as the path from a component back to itself, until there would be none without them. */
function cyclesOf(needs: Needs): string[][] {
  const cycles: string[][] = []
  for (let { rest } = peel(needs); rest.size > 0; { rest } = peel(rest)) {
    // Whatever is left needs something that is left, so walking on must come round.
    const path: string[] = []
    let at = [...rest.keys()][0] as string
    while (!path.includes(at)) {
      path.push(at)
      at = rest.get(at)?.find(each => rest.has(each)) as string
    }
    const cycle = path.slice(path.indexOf(at))
    cycles.push([...cycle, at])
    for (const name of cycle) rest.delete(name)
  }
  return cycles
}
