import type { Adapter } from '@waybill/core/adapter';
import type { Fault } from '../case.ts';
import type { FaultAction, Harness } from '../target.ts';

/**
 * The same target with every adapter wrapped: by a saboteur, or by something that must change no verdict. The faults
 * still strike the adapters inside.
 */
export function wrapHarness(harness: Harness, name: string, wrap: (adapter: Adapter) => Adapter): Harness {
  const inside = new WeakMap<Adapter, Adapter>();
  const faults: Partial<Record<Fault, FaultAction>> = {};
  for (const [fault, action] of Object.entries(harness.faults) as [Fault, FaultAction][]) {
    faults[fault] = (request) =>
      action({ ...request, adapters: request.adapters.map((adapter) => inside.get(adapter) ?? adapter) });
  }
  // A child process would make adapters that are not wrapped.
  const { child: _, ...rest } = harness;
  return {
    ...rest,
    name,
    supports: wrap(harness.adapter()).supports,
    faults,
    adapter: () => {
      const inner = harness.adapter();
      const outer = wrap(inner);
      inside.set(outer, inner);
      return outer;
    },
  };
}
