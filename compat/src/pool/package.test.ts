/** The packages as they are published: loaded by `require` and by `import`, and compiled against by users of @types/pg. */

import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { useDatabase } from '../kit/database.js'
import { TSC, useApplication } from '../kit/packed.js'
import { run } from '../kit/run.js'

const database = useDatabase()
const fixtures = fileURLToPath(new URL('../../fixtures', import.meta.url))
const app = useApplication()

describe('the published packages', () => {
  /** Runs a fixture in the application, and returns what it printed. */
  async function load(file: string): Promise<unknown[]> {
    await cp(join(fixtures, 'loading', file), join(app.folder, file))
    const { code, lines, stderr } = await run(process.execPath, [file, database.url], { cwd: app.folder })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return lines.map(line => (line.startsWith('warning') ? line : JSON.parse(line)))
  }

  it('are loaded by require, with everything that require gives of pg, and without a warning', async () => {
    expect(await load('commonjs.cjs')).toEqual([
      { pool: 'Pool', samePool: true, missing: [], different: [] },
      { sameByImport: true },
      [{ one: 1 }],
    ])
  })

  it('are loaded by import, with everything that import gives of pg, and without a warning', async () => {
    expect(await load('module.mjs')).toEqual([
      { pool: 'Pool', samePool: true, missing: [], different: [] },
      { named: true },
      [{ one: 1 }],
    ])
  })
})

describe('the published types', () => {
  // As a service has it: with Node's types, and without a browser's.
  const strict = {
    ...{ strict: true, noEmit: true, target: 'es2022', lib: ['es2022'], types: ['node'], skipLibCheck: false },
  }
  const readFixture = (file: string): Promise<string> => readFile(join(fixtures, 'types', file), 'utf8')

  /** Compiles the fixtures in the application, and returns the compiler's complaints by file. */
  async function compile(name: string, options: object): Promise<Record<string, string[]>> {
    const folder = join(app.folder, name)
    const userCode = await readFixture('user-code.ts')
    const files = {
      'as-it-was.ts': userCode,
      'import-changed.ts': userCode.replace("from 'pg'", "from '@breakwater/pool/pg'"),
      'side-by-side.ts': await readFixture('side-by-side.ts'),
    }
    await mkdir(folder)
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: name === 'commonjs' ? 'commonjs' : 'module' }))
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...strict, ...options } }))
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text)
    const { lines } = await run(process.execPath, [TSC, '-p', folder, '--pretty', 'false'])
    const complaints: Record<string, string[]> = {}
    for (const line of lines) {
      const [, file = 'further'] = /([\w-]+\.ts)\(/.exec(line) ?? []
      complaints[file] = [...(complaints[file] ?? []), line]
    }
    return complaints
  }

  it.each([
    ['nodenext', { module: 'nodenext' }],
    ['bundler', { module: 'esnext', moduleResolution: 'bundler' }],
    ['exact', { module: 'nodenext', exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true }],
    ['commonjs', { module: 'nodenext', esModuleInterop: true }],
  ])(
    "fit users of @types/pg who change the import, and libraries that ask for pg's own (%s)",
    async (name, options) => {
      expect(await compile(name, options)).toEqual({})
    },
  )
})
