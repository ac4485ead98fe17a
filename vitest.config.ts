import { defineConfig } from 'vitest/config';

/** Brokers that run outside this process: their adapters' tests are the `brokers` project. */
const brokers = ['kafka', 'rabbitmq', 'redis', 'sqs'];

export default defineConfig({
  // Tests read the sources, never a stale build. Vite's own server conditions follow ours, since a list replaces them,
  // but for `module`: what it names is for bundlers, and Node can't load all of it.
  ssr: { resolve: { conditions: ['waybill-source', 'node', 'development|production'] } },
  test: {
    passWithNoTests: false,
    testTimeout: 60_000, // a bound, not an assertion: property tests on a busy machine are slow
    reporters: ['default', 'json'],
    outputFile: { json: '.results/vitest.json' },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          maxWorkers: 2,
          maxConcurrency: 12, // the suite on memory mostly waits
          include: [
            'packages/*/test/**/*.test.ts',
            'conformance/test/**/*.test.ts',
            'adapters/memory/test/**/*.test.ts',
            'examples/*/test/**/*.test.ts',
          ],
        },
      },
      {
        extends: true,
        test: {
          name: 'brokers',
          include: [`adapters/{${brokers.join(',')}}/test/**/*.test.ts`],
          maxWorkers: 3, // each starts a broker of its own, and mostly waits for it
          maxConcurrency: 8,
          testTimeout: 60_000,
          hookTimeout: 120_000, // starting a broker, or installing it
          sequence: { groupOrder: 1 }, // after `unit`: Vitest wants groups where worker counts differ
        },
      },
    ],
  },
});
