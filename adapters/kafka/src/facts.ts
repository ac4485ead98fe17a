import { type Facts, WaybillError } from '@waybill/core/adapter';
import type { Connection } from './connection.ts';
import { classify } from './errors.ts';
import type { Settings } from './options.ts';

/** By the highest version of a request: what a broker speaks says how old it is, and nothing else does. */
const PRODUCE = 0;
const FETCH = 1;

/** What the cluster is. @throws WaybillError `unsupported` when that is less than the manifest says. */
export async function inspect(connection: Connection, settings: Settings): Promise<Facts> {
  const node = await connection.anyNode();
  const brokers = connection.brokers.getNodeIds().length;
  const config = await brokerConfig(connection);
  const facts = {
    version: versionOf(node.versions?.[PRODUCE]?.maxVersion ?? 0, node.versions?.[FETCH]?.maxVersion ?? 0),
    brokers,
    defaultReplicas: numberOf(config, 'default.replication.factor'),
    minInsyncReplicas: numberOf(config, 'min.insync.replicas'),
    maxMessageBytes: numberOf(config, 'message.max.bytes'),
    offsetsRetentionMinutes: numberOf(config, 'offsets.retention.minutes'),
    autoCreateTopics: config.get('auto.create.topics.enable') ?? null,
  };
  if (settings.durability === 'replicated' && brokers < 2)
    throw new WaybillError(
      'unsupported',
      `kafka: the cluster has ${brokers} broker; durability 'replicated' needs 2 or more`,
    );
  return facts;
}

/** Of any broker. Often forbidden; facts to show, not checks. */
async function brokerConfig(connection: Connection): Promise<ReadonlyMap<string, string | null>> {
  try {
    const node = await connection.anyNode();
    const { resources } = await node.describeConfigs({ resources: [{ type: 4, name: String(node.nodeId) }] });
    return new Map(resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]));
  } catch (error) {
    if (classify(error) === 'denied') return new Map();
    throw error;
  }
}

function numberOf(config: ReadonlyMap<string, string | null>, name: string): number | null {
  const value = config.get(name);
  return value === undefined || value === null ? null : Number(value);
}

function versionOf(produce: number, fetch: number): string {
  if (produce >= 13) return '4.1 or later';
  if (produce === 12) return '4.0';
  return fetch >= 13 ? '3.1 to 3.9' : 'before 3.1';
}
