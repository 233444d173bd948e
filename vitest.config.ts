import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// With LOCKTABLE_TEST_REPORT=FILE the results are written there as JSON too (CI counts them).
const report = process.env.LOCKTABLE_TEST_REPORT

// Costs each Node process 75 ms of a processor where somebody has set it, tests start thousands, and none goes to the network.
delete process.env.NODE_EXTRA_CA_CERTS

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The addon holds per-process kernel objects, and tests kill processes: each file gets a process of its own.
    pool: 'forks',
    // Many tests wait more than they compute; the default would be one at a time on two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
})
