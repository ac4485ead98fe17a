import { createRequire } from 'node:module';

const manifest = createRequire(import.meta.url)('../package.json') as { readonly version: string };

/** Of this package, and so of all of Waybill: they are released together. */
export const VERSION: string = manifest.version;
