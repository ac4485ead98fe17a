import { Buffer } from 'node:buffer';
import type { Admin, AssignerProtocol, Cluster, Kafka } from 'kafkajs';
import { NotAble, type Spy } from '../target.ts';

interface Client {
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly protocol: typeof AssignerProtocol;
}

/** A request that kafkajs' types leave out. */
interface Leaver {
  leaveGroup(request: { readonly groupId: string; readonly memberId: string }): Promise<unknown>;
}

/** A client of its own for one use: kafkajs asks for every topic that a client ever used, and fails when one of them is gone. */
async function briefly<C extends { connect(): Promise<void>; disconnect(): Promise<void> }, T>(
  client: C,
  use: (client: C) => Promise<T>,
): Promise<T> {
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.disconnect();
  }
}

/** A client of Kafka beside the adapter: what the harness looks at and changes. Connects when it is first needed. */
export class KafkaOutside {
  readonly #brokers: readonly string[];
  #client: Promise<Client> | null = null;

  /** @param address `host:port` of a plain listener. */
  constructor(address: string) {
    this.#brokers = [address];
  }

  async admin(): Promise<Admin> {
    return (await this.#connected()).admin;
  }

  async answers(): Promise<boolean> {
    try {
      await (await this.admin()).describeCluster();
      return true;
    } catch {
      return false;
    }
  }

  async topics(): Promise<string[]> {
    const all = await (await this.admin()).listTopics();
    return all.filter((name) => !name.startsWith('__'));
  }

  /** The members of a group that have one of these partitions, or have not let go of it; without any, all members. */
  async membersOf(groupId: string, partitions: readonly number[] = []): Promise<string[]> {
    const { admin, protocol } = await this.#connected();
    const { groups } = await admin.describeGroups([groupId]);
    const wanted = new Set(partitions);
    return (groups[0]?.members ?? [])
      .filter(({ memberAssignment, memberMetadata }) => {
        const given = Object.values(protocol.MemberAssignment.decode(memberAssignment)?.assignment ?? {}).flat();
        const claimed = claimsIn(protocol.MemberMetadata.decode(memberMetadata)?.userData.toString() ?? '');
        return wanted.size === 0 || [...given, ...claimed].some((partition) => wanted.has(partition));
      })
      .map(({ memberId }) => memberId);
  }

  /** Takes a member out of its group, as if its session had ended. */
  async evict(groupId: string, memberId: string): Promise<void> {
    const { kafka } = await this.#connected();
    let cluster: Cluster | null = null;
    kafka.consumer({
      groupId: 'waybill-harness',
      partitionAssigners: [
        (assigner) => {
          ({ cluster } = assigner);
          return {
            name: '',
            version: 0,
            assign: () => Promise.resolve([]),
            protocol: () => ({ name: '', metadata: Buffer.alloc(0) }),
          };
        },
      ],
    });
    const found = cluster as Cluster | null;
    if (found === null) throw new NotAble('kafkajs did not hand out its cluster');
    try {
      await found.connect();
      await found.refreshMetadata();
      const coordinator = (await found.findGroupCoordinator({ groupId })) as unknown as Leaver;
      await coordinator.leaveGroup({ groupId, memberId });
    } finally {
      await found.disconnect();
    }
  }

  spy(): Spy {
    return {
      objects: async (part) => (await this.topics()).filter((name) => name.includes(part)),
      consumers: async (topic, group) => (await this.membersOf(`${topic}__${group}`)).length,
      depth: async (topic, group) => {
        const { kafka } = await this.#connected();
        const [ends, committed] = await briefly(kafka.admin(), async (admin) => [
          await admin.fetchTopicOffsets(topic),
          (await admin.fetchOffsets({ groupId: `${topic}__${group}`, topics: [topic] }))[0],
        ]);
        return ends.reduce((sum, { partition, high, low }) => {
          const at = Number(committed?.partitions.find((one) => one.partition === partition)?.offset ?? -1);
          return sum + Number(high) - (at < 0 ? Number(low) : at);
        }, 0);
      },
      put: async (topic, { body, headers, key = null }) => {
        if (!(await this.topics()).includes(topic)) throw new NotAble(`nobody has provisioned ${topic}`);
        const values = Object.entries(headers).map(([name, value]) => [
          name,
          typeof value === 'string' ? value : Buffer.from(value),
        ]);
        const message = {
          key,
          value: Buffer.from(body),
          headers: Object.fromEntries(values) as Record<string, string>,
        };
        const { kafka } = await this.#connected();
        const producer = kafka.producer({ allowAutoTopicCreation: false });
        await briefly(producer, () => producer.send({ topic, messages: [message] }));
      },
    };
  }

  async deleteAll(names: readonly string[]): Promise<void> {
    if (names.length > 0) await (await this.admin()).deleteTopics({ topics: [...names] });
  }

  async close(): Promise<void> {
    await (await this.#client?.catch(() => null))?.admin.disconnect();
  }

  #connected(): Promise<Client> {
    this.#client ??= (async () => {
      const { Kafka: KafkaClient, AssignerProtocol: protocol } = await import('kafkajs');
      const kafka = new KafkaClient({
        clientId: 'waybill-harness',
        brokers: [...this.#brokers],
        logCreator: () => () => undefined,
      });
      const admin = kafka.admin();
      await admin.connect();
      return { kafka, admin, protocol };
    })();
    return this.#client;
  }
}

/** As the adapter's members write them when they join. */
function claimsIn(userData: string): number[] {
  try {
    return (JSON.parse(userData) as { claims?: number[] }).claims ?? [];
  } catch {
    return [];
  }
}
