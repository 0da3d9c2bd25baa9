// Lints each package that is published, as it would be packed, after a build.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

const packages = fileURLToPath(new URL('../packages/', import.meta.url))
let faults = 0
for (const name of readdirSync(packages)) {
  const pkgDir = `${packages}${name}`
  const pkg = JSON.parse(readFileSync(`${pkgDir}/package.json`, 'utf8'))
  const { messages } = await publint({ pkgDir, strict: true, pack: false })
  for (const message of messages) {
    faults++
    console.error(`${pkg.name}: ${formatMessage(message, pkg)}`)
  }
}
console.log(`publint: ${faults} faults`)
process.exitCode = faults > 0 ? 1 : 0
