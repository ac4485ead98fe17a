import {
  installedManifests,
  type Need,
  openAdapter,
  refusal,
  type ResolvedConfig,
  type ResolvedTopic,
  resolvePlan,
  subscriptionNeeds,
  topicNeeds,
} from '@waybill/core';
import {
  capability,
  CAPABILITIES,
  type CapabilityPath,
  type Facts,
  type Supports,
  WaybillError,
} from '@waybill/core/adapter';
import { reach } from './reach.ts';

interface BrokerDiagnosis {
  readonly name: string;
  /** Null where no adapter could be made. */
  readonly adapter: string | null;
  readonly reachable: boolean;
  readonly facts: Facts | null;
  readonly error: string | null;
}

/** One thing that a topic or subscription needs, and who keeps it. */
export interface NeedDiagnosis {
  readonly path: string;
  readonly why: string;
  readonly by: 'native' | 'emulated' | 'refused';
}

interface PlaceDiagnosis {
  /** `topic 'orders'`, `subscription 'orders/inventory'`. */
  readonly where: string;
  readonly broker: string;
  readonly needs: readonly NeedDiagnosis[];
  /** The error with which `connect` would refuse it, or null. */
  readonly refusal: string | null;
}

export interface Diagnosis {
  readonly brokers: readonly BrokerDiagnosis[];
  readonly places: readonly PlaceDiagnosis[];
}

/**
 * Connects to each broker once and compares what is configured with what they keep. Keys, batches and the like stand in
 * the code and are not seen here; a topic with `partitions` is taken to be ordered.
 */
export async function diagnose(config: ResolvedConfig): Promise<Diagnosis> {
  const manifests = await installedManifests(config.adapters);
  const supports = new Map<string, Supports>();
  const brokers: BrokerDiagnosis[] = [];
  for (const name of Object.keys(config.brokers)) brokers.push(await diagnoseBroker(config, name, supports));
  const places: PlaceDiagnosis[] = [];
  const judge = (where: string, topic: string, needsOf: (known: Supports) => readonly Need[]): void => {
    const { broker } = topicConfigOf(config, topic);
    const known = supports.get(broker);
    if (known !== undefined) places.push(diagnosePlace(where, broker, needsOf(known), known, manifests));
  };
  for (const topic of Object.keys(config.topics)) {
    judge(`topic '${topic}'`, topic, () => topicNeeds(orderedAs(config, topic), topicConfigOf(config, topic)));
  }
  for (const [name, overrides] of Object.entries(config.subscriptions)) {
    const [topic = '', group = ''] = name.split('/');
    const { partitions } = topicConfigOf(config, topic);
    // `deadLetter: false` needs its other half, which may stand in the code.
    const code = { group, ...(overrides.deadLetter === false && { onExhausted: 'stop' as const }) };
    judge(`subscription '${name}'`, topic, (known) => {
      const plan = resolvePlan(orderedAs(config, topic), code, overrides, known, partitions ?? 1);
      return subscriptionNeeds(orderedAs(config, topic), plan, partitions);
    });
  }
  return { brokers, places };
}

/** Of a topic that configuration names only in a subscription: the defaults. */
function topicConfigOf(config: ResolvedConfig, topic: string): ResolvedTopic {
  const broker = config.defaultBroker ?? '';
  return config.topics[topic] ?? { broker, partitions: null, groups: [], retention: null, address: null };
}

function orderedAs(config: ResolvedConfig, topic: string): { name: string; ordered: boolean } {
  return { name: topic, ordered: topicConfigOf(config, topic).partitions !== null };
}

async function diagnoseBroker(
  config: ResolvedConfig,
  name: string,
  supports: Map<string, Supports>,
): Promise<BrokerDiagnosis> {
  let adapterName: string | null = null;
  try {
    const broker = config.brokers[name] as NonNullable<(typeof config.brokers)[string]>;
    const adapter = await openAdapter(name, broker, config.adapters, config.source ?? 'waybill-doctor');
    adapterName = adapter.name;
    supports.set(name, adapter.supports);
    const facts = await reach(adapter, config.connectTimeout);
    return { name, adapter: adapterName, reachable: true, facts, error: null };
  } catch (error) {
    if (adapterName === null && WaybillError.is(error)) throw error; // it can't even be made: that is configuration
    const message = error instanceof Error ? error.message : 'unknown error';
    return { name, adapter: adapterName, reachable: false, facts: null, error: message };
  }
}

function diagnosePlace(
  where: string,
  broker: string,
  needs: readonly Need[],
  supports: Supports,
  manifests: Readonly<Record<string, Supports>>,
): PlaceDiagnosis {
  const refused = needs.filter((need) => !need.met(supports));
  return {
    where,
    broker,
    needs: needs.map((need) => ({
      path: need.path,
      why: need.why,
      by: refused.includes(need) ? 'refused' : keeper(need, supports),
    })),
    refusal: refused.length === 0 ? null : refusal(where, refused, supports.adapter, manifests).message,
  };
}

/** Who keeps a need that is met; met although its capability is refused means that core finds another way. */
function keeper({ path }: Need, supports: Supports): 'native' | 'emulated' {
  if (!CAPABILITIES.includes(path as CapabilityPath)) return 'native';
  return capability(supports, path as CapabilityPath).by === 'native' ? 'native' : 'emulated';
}
