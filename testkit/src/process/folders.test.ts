/** What is kept is whole or not there; what is not kept goes. */

import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { buildOnce, isOpenToAll, makeRunFolder } from './folders.js'

test('what is kept is built once, and found afterwards', async () => {
  await using place = await makeRunFolder('test')
  const path = join(place.path, 'deep', 'kept')
  let built = 0
  const build = async (folder: string): Promise<void> => {
    built++
    expect(existsSync(path)).toBe(false)
    await mkdir(folder)
    await writeFile(join(folder, 'content'), 'whole')
  }
  expect(await buildOnce(path, build)).toBe(path)
  expect(await buildOnce(path, build)).toBe(path)
  expect(built).toBe(1)
  expect(await readFile(join(path, 'content'), 'utf8')).toBe('whole')
})

test('of two builders at once one wins, and the other leaves nothing', async () => {
  await using place = await makeRunFolder('test')
  const path = join(place.path, 'kept')
  let arrived = 0
  let release = (): void => {}
  const both = new Promise<void>(resolve => {
    release = resolve
  })
  const build = async (folder: string): Promise<void> => {
    await mkdir(folder)
    await writeFile(join(folder, 'content'), 'whole')
    if (++arrived === 2) release()
    await both
  }
  await Promise.all([buildOnce(path, build), buildOnce(path, build)])
  expect(await readdir(place.path)).toEqual(['kept'])
})

test('a build that fails leaves nothing, and the next one is tried', async () => {
  await using place = await makeRunFolder('test')
  const path = join(place.path, 'kept')
  const failure = buildOnce(path, async folder => {
    await mkdir(folder)
    throw new Error('disk full')
  })
  await expect(failure).rejects.toThrow('disk full')
  expect(await readdir(place.path)).toEqual([])
  await buildOnce(path, folder => mkdir(folder).then(() => {}))
  expect(existsSync(path)).toBe(true)
})

test('a run’s folder can be entered by its owner alone, and is gone when disposed of', async () => {
  const folder = await makeRunFolder('test')
  expect((await stat(folder.path)).mode & 0o777).toBe(0o700)
  expect(isOpenToAll(folder.path)).toBe(false)
  await folder[Symbol.asyncDispose]()
  expect(existsSync(folder.path)).toBe(false)
})
