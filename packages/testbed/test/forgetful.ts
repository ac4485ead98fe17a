import { type ChildProcess, spawn } from 'node:child_process';
import { isNotRun, startBroker } from '../src/index.ts';

/*
 * A program that starts a Redis, or a RabbitMQ, and does not tidy up. It ends when its standard input does; `crash.test.ts` kills it, or
 * lets it end. Prints what there is to be left behind.
 */
const broker = await startBroker(process.argv.includes('--rabbitmq') ? 'rabbitmq' : 'redis', { from: 'process' });
if (isNotRun(broker)) throw new Error(broker.reason);
if (process.argv.includes('--pause')) await broker.pause();
const started = process.argv.includes('--other') ? other().pid : null;
console.log(JSON.stringify({ url: broker.url, started }));
process.stdin.resume();

/** Inherits what it can: it must not keep the watchdog's pipe open. */
function other(): ChildProcess {
  const child = spawn('sleep', ['30'], { stdio: 'ignore' });
  child.unref();
  return child;
}
