import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { CaseBus, Consumer, FaultControl, SpawnedConsumer } from './case-types.ts';
import type { ConsumerOrders } from './consumer-process.ts';
import { parseHistory } from './history-file.ts';
import type { Recorder } from './recorder.ts';
import { CaseSignal } from './signals.ts';

/** A consumer on a connection of this process, which `kill` severs: for brokers that live in this process. */
export class SeverableConsumer implements SpawnedConsumer {
  readonly name: string;
  readonly group: string;
  exited = false;
  readonly #bus: CaseBus;
  readonly #consumer: Consumer;
  readonly #fault: FaultControl;

  constructor(bus: CaseBus, consumer: Consumer, fault: FaultControl) {
    this.name = consumer.name;
    this.group = consumer.group;
    this.#bus = bus;
    this.#consumer = consumer;
    this.#fault = fault;
  }

  get started(): number {
    return this.#consumer.count;
  }

  get returned(): number {
    return this.#consumer.returned;
  }

  async kill(): Promise<void> {
    if (!this.exited) await this.#fault.crash(this.#bus);
    this.exited = true;
  }

  stop(): Promise<void> {
    throw new CaseSignal('not-run', 'this consumer runs inside the suite, so it can not be stopped');
  }

  wake(): Promise<void> {
    return this.stop();
  }

  async drain(): Promise<void> {
    if (this.exited) return;
    this.exited = true;
    await this.#consumer.drain();
    await this.#bus.close();
  }
}

/** A consumer in a child process. Its events come from its history file, which it writes before their effects. */
export class ProcessConsumer implements SpawnedConsumer {
  readonly name: string;
  readonly group: string;
  exited = false;
  readonly #child: ChildProcess;
  readonly #recorder: Recorder;
  readonly #path: string;
  #file: number | null = null;
  #rest = '';
  #started = 0;
  #returned = 0;
  #draining = false;
  #done = false;

  private constructor(orders: ConsumerOrders, child: ChildProcess, recorder: Recorder) {
    this.name = orders.name;
    this.group = orders.options.group;
    this.#child = child;
    this.#recorder = recorder;
    this.#path = orders.history;
    child.once('exit', () => this.#exited());
  }

  /** Resolves when its subscription stands. */
  static async start(orders: ConsumerOrders, recorder: Recorder): Promise<ProcessConsumer> {
    const source = import.meta.url.endsWith('.ts');
    const program = fileURLToPath(new URL(source ? './consumer-process.ts' : './consumer-process.js', import.meta.url));
    const child = fork(program, [], { execArgv: source ? fromSource() : [], serialization: 'json' });
    const consumer = new ProcessConsumer(orders, child, recorder);
    child.send(orders);
    const ended = once(child, 'exit').then(() => ['it ended at once']);
    const [answer] = (await Promise.race([once(child, 'message'), ended])) as [unknown];
    if (answer === 'ready') return consumer;
    await consumer.kill();
    throw new Error(`the consumer process ${orders.name} did not start: ${String(answer)}`);
  }

  get started(): number {
    this.sync();
    return this.#started;
  }

  get returned(): number {
    this.sync();
    return this.#returned;
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGSTOP');
    this.#recorder.record({ type: 'note', text: `${this.name} is stopped (SIGSTOP)` });
  }

  async wake(): Promise<void> {
    this.#child.kill('SIGCONT');
    this.#recorder.record({ type: 'note', text: `${this.name} is woken up (SIGCONT)` });
  }

  drain(): Promise<void> {
    this.#draining = true;
    return this.#end('SIGTERM');
  }

  /** Takes in what its file has gained. */
  sync(): void {
    if (this.#done || (this.#file === null && !existsSync(this.#path))) return;
    this.#file ??= openSync(this.#path, 'r');
    const bytes = Buffer.alloc(65_536);
    for (let read = readSync(this.#file, bytes); read > 0; read = readSync(this.#file, bytes))
      this.#rest += bytes.toString('latin1', 0, read);
    const end = this.#rest.lastIndexOf('\n') + 1;
    const lines = Buffer.from(this.#rest.slice(0, end), 'latin1').toString();
    this.#rest = this.#rest.slice(end);
    for (const event of parseHistory(lines, this.#path)) {
      if (event.type === 'deliver' && !event.sentinel) this.#started += 1;
      if (event.type === 'handler.end' && event.outcome === 'returned') this.#returned += 1;
      this.#recorder.adopt(event);
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.exited) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill(signal);
    await exit;
  }

  #exited(): void {
    this.exited = true;
    this.sync();
    this.#done = true;
    if (this.#file !== null) closeSync(this.#file);
    if (!this.#draining) this.#recorder.record({ type: 'killed', consumer: this.name });
  }
}

/** Node 20 does not read TypeScript; tsx does. Only inside the repository: what is published is compiled. */
function fromSource(): string[] {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  return ['--conditions=waybill-source', '--import', tsx];
}
