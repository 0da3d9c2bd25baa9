import { defineConfig } from 'vitest/config'

/** Lets tests cross packages from source, with no build. */
const conditions = ['@breakwater/source']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: [
      'packages/*/src/**/*.test.ts',
      'testkit/src/**/*.test.ts',
      'bench/src/**/*.test.ts',
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
