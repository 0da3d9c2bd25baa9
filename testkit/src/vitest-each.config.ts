/** The suite's own configuration, for the fixture alone. */

import config, { project } from '../../vitest.config.js'

export default {
  ...config,
  test: {
    ...config.test,
    projects: [project('fixture', { include: ['testkit/src/vitest-each.fixture.ts'], isolate: true })],
    reporters: ['json'],
    watch: false,
  },
}
