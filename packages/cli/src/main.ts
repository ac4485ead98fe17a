import { processIo } from './io.ts';
import { run } from './program.ts';

process.exitCode = await run(process.argv.slice(2), processIo());
// Everything was closed; a connection that a fault has cut off from its broker may still hold the process.
setTimeout(() => process.exit(), 2_000).unref();
