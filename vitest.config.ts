import { defineConfig } from 'vitest/config'

/** Lets tests cross packages from source, with no build: ours, then what Vite's own are. */
const source = { resolve: { conditions: ['@breakwater/source', 'module', 'node', 'development'] } }

export default defineConfig({
  // Tests run in the one, the global set-up in the other.
  environments: { ssr: source, __vitest__: source },
  test: {
    include: [
      'packages/*/src/**/*.test.ts',
      'testkit/src/**/*.test.ts',
      'bench/src/**/*.test.ts',
      'compat/src/**/*.test.ts',
      'examples/**/*.test.ts',
    ],
    globalSetup: ['testkit/src/vitest-global-setup.ts'],
    setupFiles: ['testkit/src/vitest-each.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
})
