/** The explorer alone, with its coverage of the protocol: every line and every branch, or it fails. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/model/*.test.ts'],
    testNamePattern: /every interleaving/,
    coverage: {
      enabled: true,
      provider: 'v8',
      include: ['src/lock/protocol.ts', 'src/lock/word.ts', 'src/lock/roster.ts', 'src/lock/notices.ts'],
      reporter: ['text', 'json'],
      reportsDirectory: 'coverage/model',
      thresholds: { lines: 100, branches: 100, functions: 100, statements: 100 },
    },
  },
})
