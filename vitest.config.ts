import { defineConfig, type TestProjectConfiguration } from 'vitest/config'

/** Lets tests cross packages from source, with no build: ours, then what Vite's own are. */
const source = { resolve: { conditions: ['@breakwater/source', 'module', 'node', 'development'] } }

/** OpenTelemetry's providers are set once for a process. */
const ALONE = 'packages/core/src/opentelemetry.test.ts'

export const project = (name: string, test: { include: string[]; exclude?: string[]; isolate: boolean }) =>
  ({
    environments: { ssr: source },
    test: {
      name,
      ...test,
      setupFiles: ['testkit/src/vitest-each.ts'],
      pool: 'forks',
      testTimeout: 20_000,
      hookTimeout: 60_000,
    },
  }) satisfies TestProjectConfiguration

export default defineConfig({
  // The global set-up runs in this one.
  environments: { __vitest__: source },
  test: {
    globalSetup: ['testkit/src/vitest-global-setup.ts'],
    maxWorkers: 2,
    projects: [
      project('tools', {
        include: [
          'testkit/src/**/*.test.ts',
          'bench/src/**/*.test.ts',
          'compat/src/**/*.test.ts',
          'examples/**/*.test.ts',
          ALONE,
        ],
        isolate: true,
      }),
      // Two processes run all of these: what they import takes as long to load as most of them take. Nothing that a test
      // leaves behind is there for the next file, since each test is asked for that.
      project('packages', { include: ['packages/*/src/**/*.test.ts'], exclude: [ALONE], isolate: false }),
    ],
  },
})
