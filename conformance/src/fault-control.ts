import type { Adapter, Delivery } from '@waybill/core/adapter';
import type { CaseBus, Consumer, FaultControl } from './case-types.ts';
import type { Fault } from './case.ts';
import type { Recorder } from './recorder.ts';
import { CaseSignal } from './signals.ts';
import { type FaultRequest, type Harness, type Heal, NotAble } from './target.ts';

/** The harness's faults, with their beginnings and ends in the history, healed at the latest when the case ends. */
export class Faults implements FaultControl {
  readonly #harness: Harness;
  readonly #recorder: Recorder;
  readonly #sever: (bus: CaseBus) => void;
  readonly #holding: (consumer: Consumer) => readonly Delivery[];
  readonly #open = new Set<Heal>();

  constructor(
    harness: Harness,
    recorder: Recorder,
    sever: (bus: CaseBus) => void,
    holding: (consumer: Consumer) => readonly Delivery[],
  ) {
    this.#harness = harness;
    this.#recorder = recorder;
    this.#sever = sever;
    this.#holding = holding;
  }

  has(fault: Fault): boolean {
    return this.#harness.faults[fault] !== undefined;
  }

  cut(...only: CaseBus[]): Promise<Heal> {
    return this.#start('cut', { adapters: adaptersOf(only) });
  }

  stall(...only: CaseBus[]): Promise<Heal> {
    return this.#start('stall', { adapters: adaptersOf(only) });
  }

  dropResponses(...only: CaseBus[]): Promise<Heal> {
    return this.#start('drop-responses', { adapters: adaptersOf(only) });
  }

  killBroker(): Promise<Heal> {
    return this.#start('kill-broker', {});
  }

  async restart(): Promise<void> {
    const heal = await this.#start('restart', {});
    await heal();
  }

  pause(): Promise<Heal> {
    return this.#start('pause', {});
  }

  unknownOutcome(...[count, options]: Parameters<FaultControl['unknownOutcome']>): Promise<Heal> {
    const { stored = true, only = [] } = options ?? {};
    return this.#start('unknown-outcome', { count, stored, adapters: adaptersOf(only) });
  }

  rejectSends(...[count, options]: Parameters<FaultControl['rejectSends']>): Promise<Heal> {
    const { refusal = 'permanent', only = [] } = options ?? {};
    return this.#start('reject-sends', { count, refusal, adapters: adaptersOf(only) });
  }

  takeOver(consumer: Consumer): Promise<Heal> {
    const { topic, group } = consumer;
    return this.#start('take-over', { topic, group, deliveries: this.#holding(consumer) });
  }

  slow(ms: number): Promise<Heal> {
    return this.#start('slow', { ms });
  }

  duplicate(count: number): Promise<Heal> {
    return this.#start('duplicate', { count });
  }

  async crash(bus: CaseBus): Promise<void> {
    const action = this.#harness.faults['crash-connection'] ?? this.#lacks('crash-connection');
    this.#recorder.record({ type: 'fault.start', fault: 'crash-connection', detail: bus.name });
    this.#sever(bus);
    await action(request({ adapters: [bus.adapter] }));
    this.#recorder.record({ type: 'fault.end', fault: 'crash-connection', detail: bus.name });
  }

  async healAll(): Promise<void> {
    const results = await Promise.allSettled([...this.#open].map((heal) => heal()));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #start(fault: Fault, wanted: Partial<FaultRequest>): Promise<Heal> {
    const action = this.#harness.faults[fault] ?? this.#lacks(fault);
    const { adapters: _, deliveries: __, ...said } = wanted;
    const detail = Object.keys(said).length === 0 ? '' : JSON.stringify(said);
    this.#recorder.record({ type: 'fault.start', fault, detail });
    const undo = await action(request(wanted)).catch((error: unknown) => {
      throw error instanceof NotAble ? new CaseSignal('not-run', error.message) : error;
    });
    let healed: Promise<void> | null = null;
    const heal: Heal = () => {
      healed ??= undo().then(() => {
        this.#open.delete(heal);
        this.#recorder.record({ type: 'fault.end', fault, detail });
      });
      return healed;
    };
    this.#open.add(heal);
    return heal;
  }

  #lacks(fault: Fault): never {
    throw new CaseSignal('not-run', `the harness of ${this.#harness.name} has no fault '${fault}'`);
  }
}

function request(wanted: Partial<FaultRequest>): FaultRequest {
  const all: FaultRequest = {
    adapters: [],
    count: 1,
    stored: true,
    refusal: 'permanent',
    ms: 0,
    topic: null,
    group: null,
    deliveries: [],
  };
  return { ...all, ...wanted };
}

function adaptersOf(buses: readonly CaseBus[]): Adapter[] {
  return buses.map((bus) => bus.adapter);
}
