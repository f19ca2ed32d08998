import { defineConfig } from 'vitest/config'

export default defineConfig({
  // Vite would load the .mjs copy of graphql beside the one that libraries load through Node: two realms, no schema works.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // Two cores are what a small machine has; real databases and processes starve each other beyond that.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
