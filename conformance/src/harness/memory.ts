import type { Adapter } from '@waybill/core/adapter';
import { HIDEABLE, memory, MemoryBroker, type AdapterOptions, type BrokerOptions } from '@waybill/memory';
import type { Fault } from '../case.ts';
import { MemorySpy } from './memory-spy.ts';
import { type FaultAction, type Harness, NotAble } from '../target.ts';

/**
 * How the memory adapter is run: as it is; with what is optional hidden, so that core emulates; as on
 * Kafka; without order per key, so that refusals run. */
export type MemoryVariant = 'memory' | 'memory-emulated' | 'memory-cumulative' | 'memory-unordered';

const variants: Readonly<Record<MemoryVariant, AdapterOptions>> = {
  memory: {},
  'memory-emulated': { hide: HIDEABLE },
  'memory-cumulative': { settle: 'cumulative' },
  'memory-unordered': { ordering: 'none' },
};

/** A memory broker of its own per harness. Its faults are the broker's own: it is the real thing, embedded. */
export function memoryHarness(variant: MemoryVariant = 'memory', options: BrokerOptions = {}): Harness {
  const broker = new MemoryBroker(options);
  const spy = new MemorySpy(broker);
  const adapter = (): Adapter => spy.watch(memory({ broker, ...variants[variant] }));
  const { supports } = adapter();
  return {
    name: variant,
    how: 'embedded',
    kind: 'real',
    supports,
    adapter,
    faults: faultsOf(broker),
    spy,
    healthy: () => Promise.resolve(true),
    close: async (): Promise<void> => {
      broker.faults.clear();
      await spy.close();
    },
  };
}

/** Longer than any case: connects are refused until the fault is healed. */
const untilHealed = 3_600_000;

function faultsOf(broker: MemoryBroker): Partial<Record<Fault, FaultAction>> {
  const { faults } = broker;
  return {
    cut: async ({ adapters }) => {
      if (adapters.length === 0) faults.restart();
      for (const adapter of adapters) faults.cut(adapter);
      // A cut connection may connect again at once: nobody can be kept out alone.
      if (adapters.length === 0) faults.refuseConnects(untilHealed);
      return async () => faults.refuseConnects(0);
    },
    stall: async ({ adapters }) => {
      everyone(adapters);
      faults.stall('publish', 'receive', 'settle');
      return async () => faults.resume();
    },
    // A broker that lives in this process can't lose what it has confirmed by dying alone: all connections break.
    restart: async () => {
      faults.restart();
      return async () => {};
    },
    pause: async () => {
      faults.stall('publish', 'receive', 'settle');
      return async () => faults.resume();
    },
    'crash-connection': async ({ adapters }) => {
      for (const adapter of adapters) faults.kill(adapter);
      return async () => {};
    },
    'unknown-outcome': async ({ count, stored, adapters }) => {
      everyone(adapters);
      faults.unknownPublish({ next: count }, stored);
      return async () => faults.clear();
    },
    'reject-sends': async ({ count, refusal, adapters }) => {
      everyone(adapters);
      faults.rejectPublish({ next: count }, refusal === 'permanent' ? 'denied' : 'unavailable');
      return async () => faults.clear();
    },
    'take-over': async ({ deliveries }) => {
      const lost = deliveries.filter((delivery) => faults.loseLease(delivery));
      if (lost.length === 0) throw new NotAble('nothing that this consumer holds can be taken from it');
      return async () => {};
    },
    slow: async ({ ms }) => {
      faults.slow(ms);
      return async () => faults.slow(0);
    },
    duplicate: async ({ count }) => {
      faults.duplicate(count);
      return async () => faults.duplicate(0);
    },
  };
}

function everyone(adapters: readonly Adapter[]): void {
  if (adapters.length > 0) throw new NotAble('this fault of the memory broker strikes every connection');
}
