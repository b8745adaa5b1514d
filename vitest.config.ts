import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// Most of a start from sources is reading TypeScript. Node keeps what comes of it, by content, and tests
// start thousands of programs.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/weft-compile');

// A test that passes only the second time is a finding. CI goes on, and scripts/count-tests.cjs names it.
const RETRIES = process.env['CI'] === 'true' ? 1 : 0;

export default defineConfig({
  test: {
    projects: [
      {
        // No process for each file: loading src again for each took most of the time.
        test: {
          ...{ name: 'unit', include: ['test/unit/**/*.test.ts'] },
          ...{ isolate: false, testTimeout: 20_000 },
        },
      },
      {
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          // One file at a time, each in a process: many measure. `make test` has two runs side by side.
          fileParallelism: false,
          retry: RETRIES,
          pool: 'forks',
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'uml',
          // Under user-mode Linux, by scripts/test-uml.sh: bridge VLANs, IPVS.
          include: ['test/uml/**/*.test.ts', 'test/netns/cni-bridge-vlan.test.ts'],
          fileParallelism: false,
          isolate: false,
          retry: RETRIES,
          pool: 'forks',
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'browser',
          // Debian's Chromium and promtool, which scripts/setup-browser.sh installs.
          include: ['test/browser/**/*.test.ts'],
          fileParallelism: false,
          retry: RETRIES,
          pool: 'forks',
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'runtime',
          include: ['test/runtime/**/*.test.ts'],
          fileParallelism: false,
          retry: RETRIES,
          pool: 'forks',
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
