/**
 * Makes a program of a test into one file that Node runs as it is. To compile each file at every start, as a loader of
 * TypeScript does, takes four times as long as all that such a program does.
 */

import { mkdir, readFile, rename } from 'node:fs/promises'
import { dirname, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Plugin } from 'esbuild'
import { cachePath, repositoryRoot } from './folders.js'

export interface Program {
  /** Options of Node, for `fork`. */
  readonly execArgv: string[]
  readonly path: string
  /** Both, for `spawn(process.execPath, ...)`. */
  readonly args: string[]
}

/**
 * Builds a TypeScript file with our packages, taken from source, in one; foreign packages stay where they are, so that each
 * is there once. Stacks name the sources. A file that patches what it imports afterwards cannot be built like this.
 */
export async function buildProgram(url: URL): Promise<Program> {
  const entry = fileURLToPath(url)
  const name = relative(repositoryRoot(), entry).split(sep).join('-').replace(/ts$/, 'mjs')
  const path = cachePath('programs', name)
  const { build, stop } = await import('esbuild')
  // It takes its name in one step: another run may be about to start it.
  const temporary = cachePath('programs', `${process.pid}-${name}`)
  await mkdir(dirname(path), { recursive: true })
  await build({
    entryPoints: [entry],
    outfile: temporary,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    conditions: ['@breakwater/source'],
    keepNames: true,
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'silent',
    plugins: [foreignPackages, ownPlace],
  })
  await stop()
  await rename(temporary, path)
  const execArgv = ['--enable-source-maps']
  return { execArgv, path, args: [...execArgv, path] }
}

/** Leaves foreign packages out, by the path at which they were found from the file that imports them. */
const foreignPackages: Plugin = {
  name: 'foreign packages',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^[^./]/ }, async ({ path, kind, resolveDir, importer, pluginData }) => {
      if (pluginData === foreignPackages || kind === 'entry-point') return undefined
      const found = await resolve(path, { kind, resolveDir, importer, pluginData: foreignPackages })
      if (found.external || found.errors.length > 0 || !found.path.includes(`${sep}node_modules${sep}`)) return found
      return { path: pathToFileURL(found.path).href, external: true }
    })
  },
}

/** What a file finds by its own place, it still does. */
const ownPlace: Plugin = {
  name: 'own place',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8')
      const contents = source
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
        .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
      return { loader: 'ts', contents }
    })
  },
}
