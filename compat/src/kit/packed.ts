/** The packages as they are published, in an application that has installed them. */

import { cp, mkdir, mkdtemp, realpath, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll } from 'vitest'
import { run } from './run.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
export const TSC: string = join(ROOT, 'node_modules/typescript/bin/tsc')
const PACKAGES = ['kernel', 'pool']
/** What they and their users need beside them: name, and whose it is. */
const OTHERS = { pg: 'compat', '@types/pg': 'compat', '@types/node': '.', 'generic-pool': 'packages/pool' }

export interface Application {
  /** Its folder, with `node_modules` and nothing else. */
  readonly folder: string
}

/** Makes the application before the file's first test, and removes it after the last. */
export function useApplication(): Application {
  let folder = ''
  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'breakwater-compat-')))
    await install(join(folder, 'build'), join(folder, 'app'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
  return {
    get folder() {
      return join(folder, 'app')
    },
  }
}

/** Builds our packages in the one folder, away from the work tree, packs them with npm, and unpacks them in the other. */
async function install(build: string, app: string): Promise<void> {
  for (const name of PACKAGES) {
    const filter = (path: string): boolean => !/[/\\](node_modules|dist)$/.test(path)
    await cp(join(ROOT, 'packages', name), join(build, 'packages', name), { recursive: true, filter })
    await link(join(build, 'packages', name), build, `@breakwater/${name}`)
  }
  await cp(join(ROOT, 'tsconfig.base.json'), join(build, 'tsconfig.base.json'))
  for (const [name, owner] of Object.entries(OTHERS)) {
    for (const into of [build, app]) await link(await realpath(join(ROOT, owner, 'node_modules', name)), into, name)
  }
  await mustRun(process.execPath, [TSC, '-b', 'packages/pool'], build)
  for (const name of PACKAGES)
    await packInto(join(app, 'node_modules/@breakwater', name), join(build, 'packages', name))
}

async function link(target: string, project: string, name: string): Promise<void> {
  const path = join(project, 'node_modules', name)
  await mkdir(dirname(path), { recursive: true })
  await symlink(target, path, 'dir')
}

async function packInto(target: string, folder: string): Promise<void> {
  await mkdir(target, { recursive: true })
  const packed = await mustRun('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], folder)
  const [{ filename }] = JSON.parse(packed.join('\n')) as [{ filename: string }]
  await mustRun('tar', ['-xzf', filename, '--strip-components=1', '-C', target], folder)
}

async function mustRun(command: string, args: string[], cwd: string): Promise<string[]> {
  const { code, lines, stderr } = await run(command, args, { cwd, timeoutMs: 60_000 })
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed (${code}):\n${lines.join('\n')}\n${stderr}`)
  return lines
}
