import { conformance } from '@waybill/conformance/vitest';
import { redis } from '../src/index.ts';
import { cleanUp, keyPrefix, missing, raw, required, url } from './server.ts';

conformance('redis', async () => {
  if (url === undefined) return { name: 'redis', missing, required };
  await raw.connect();
  // A short lease, so that what a killed consumer held comes again while somebody is looking.
  const options = { url, keyPrefix, lease: '2s' as const };
  return {
    name: 'redis',
    how: 'address',
    kind: 'real',
    supports: redis(options).supports,
    adapter: () => redis(options),
    faults: {}, // at a given address nothing is broken
    child: {
      module: new URL('../src/index.ts', import.meta.url).href,
      config: { url, options: { keyPrefix, lease: '2s' }, client: 'child' },
    },
    healthy: async () => (await raw.ping()) === 'PONG',
    close: cleanUp,
  };
});
