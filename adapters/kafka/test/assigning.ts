import { gather, messages, never, provisioned, topic, until } from '@waybill/conformance/requests';
import type { AdapterSubscription } from '@waybill/core/adapter';
import { expect, test } from 'vitest';
import { adapter, admin, broker, committed, consume, raw } from './server.ts';

/** One member of a group, and what it is told. */
class Member {
  readonly has = new Set<number>();
  readonly revoked: number[] = [];
  readonly lost: number[] = [];
  subscription!: AdapterSubscription;
  /** What it does before it lets partitions go. */
  drain: () => Promise<unknown> = () => Promise.resolve();

  async join(on: Awaited<ReturnType<typeof adapter>>, to: ReturnType<typeof topic>): Promise<this> {
    this.subscription = await consume(on, to, {
      onAssigned: (partitions) => partitions.forEach((one) => this.has.add(one)),
      onRevoked: async (partitions) => {
        this.revoked.push(...partitions);
        await this.drain();
        partitions.forEach((one) => this.has.delete(one));
      },
      onLost: (partitions) => {
        this.lost.push(...partitions);
        partitions.forEach((one) => this.has.delete(one));
      },
    });
    return this;
  }
}

export function assigning(): void {
  test('who joins is given partitions when the other has let them go; those that stay are read on', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(6));
    const first = await new Member().join(on, orders);
    expect(first.has.size).toBe(6);
    const sent = [0, 1, 2, 3, 4, 5].flatMap((partition) => messages(1, { key: 'k', partition }));
    await on.publish(orders, sent, never);
    const held = await gather(first.subscription, 6);
    let drained!: () => void;
    const draining = new Promise<void>((resolve) => (drained = resolve));
    first.drain = () => draining;
    const second = await new Member().join(on, orders);
    await until(() => first.revoked.length === 3);
    expect(second.has.size).toBe(0);
    // It goes on with what it keeps, and settles what it must give away.
    const kept = [0, 1, 2, 3, 4, 5].find((partition) => !first.revoked.includes(partition)) ?? 0;
    await on.publish(orders, messages(1, { key: 'k', partition: kept }), never);
    expect((await gather(first.subscription, 1))[0]?.partition).toBe(kept);
    await first.subscription.ack(held.map(({ receipt }) => receipt));
    expect(Object.values(await committed(orders))).toEqual(['1', '1', '1', '1', '1', '1']);
    drained();
    await until(() => second.has.size === 3);
    expect([...second.has].toSorted((a, b) => a - b)).toEqual(first.revoked.toSorted((a, b) => a - b));
    expect(first.lost).toEqual([]);
    await first.subscription.close();
    await until(() => second.has.size === 6);
    expect(second.revoked).toEqual([]);
    await second.subscription.close();
  });

  test('what was read ahead, and not handed out, is left to the next owner', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(2));
    await on.publish(
      orders,
      [0, 1].flatMap((partition) => messages(200, { key: 'k', partition })),
      never,
    );
    const seen = new Set<string>();
    const take = async ({ subscription }: Member, max: number): Promise<void> => {
      const got = await subscription.receive(max, never);
      for (const { id } of got) seen.add(id);
      await subscription.ack(got.map(({ receipt }) => receipt));
    };
    const first = await new Member().join(on, orders);
    const held = await gather(first.subscription, 7);
    for (const { id } of held) seen.add(id);
    first.drain = () => first.subscription.ack(held.map(({ receipt }) => receipt));
    const second = await new Member().join(on, orders);
    await until(() => second.has.size === 1);
    await first.drain();
    await until(async () => (await Promise.all([take(first, 100), take(second, 100)]), seen.size === 400));
    await Promise.all([first.subscription.close(), second.subscription.close()]);
  });

  test('who was thrown out is told, its receipts settle nothing, and it joins again by itself', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(2));
    await on.publish(orders, messages(4, { key: 'k', partition: 0 }), never);
    const member = await new Member().join(on, orders);
    const got = await gather(member.subscription, 4);
    const groupId = `${orders.name}__g`;
    const [group] = (await admin.describeGroups([groupId])).groups;
    const evicted = group?.members[0]?.memberId ?? '';
    await evict(groupId, evicted);
    await until(() => member.lost.length === 2 && member.has.size === 2);
    await member.subscription.ack([got[3]?.receipt]);
    expect((await committed(orders))[0]).toBe('0');
    expect(await gather(member.subscription, 4)).toHaveLength(4);
    await member.subscription.close();
  });

  test('a silent coordinator ends the subscription when the lease has passed, and says what was lost', async () => {
    if (broker?.can.proxy !== true) return;
    const proxy = await broker.proxy();
    const on = await adapter({ url: proxy.url });
    const orders = await provisioned(on, topic(2));
    const member = await new Member().join(on, orders);
    proxy.stall();
    await expect(gather(member.subscription, 1)).rejects.toSatisfy((error) => on.classify(error) === 'disconnected');
    expect(member.lost).toHaveLength(2);
    proxy.heal();
    await on.close();
  });

  test('members that read other topics, or speak another protocol, are refused', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(2));
    const stranger = raw.consumer({ groupId: `${orders.name}__g`, sessionTimeout: 6_000, heartbeatInterval: 300 });
    await stranger.connect();
    await stranger.subscribe({ topic: orders.name });
    await stranger.run({ eachMessage: () => Promise.resolve() });
    await until(async () => (await admin.describeGroups([`${orders.name}__g`])).groups[0]?.state === 'Stable');
    await expect(consume(on, orders)).rejects.toSatisfy((error) => on.classify(error) === 'invalid');
    await stranger.disconnect();
    const alone = await consume(on, orders, { inbox: null });
    const both = await consume(on, orders).then(
      (joined) => joined,
      (error: unknown) => error,
    );
    const ended = await gather(alone, 1, { within: 6_000 }).then(
      () => null,
      (error: unknown) => error,
    );
    expect(
      [both, ended].some((one) => one instanceof Error && /all members of a group read the same/.test(one.message)),
    ).toBe(true);
    await alone.close();
    if (both !== null && typeof both === 'object' && 'close' in both) await (both as AdapterSubscription).close();
  });

  test('a member that could not say that it leaves comes back as itself, and nobody waits for its session', async () => {
    if (broker?.can.proxy !== true) return;
    const proxy = await broker.proxy();
    const on = await adapter({ url: proxy.url });
    const orders = await provisioned(on);
    const members = async (): Promise<string[]> => {
      const { groups } = await admin.describeGroups([`${orders.name}__g`]);
      return (groups[0]?.members ?? []).map(({ memberId }) => memberId);
    };
    const first = await consume(on, orders, { lease: 60_000 });
    const [before] = await members();
    proxy.refuse();
    proxy.cut();
    await until(
      () =>
        on.lag?.(orders, 'g', null).then(
          () => false,
          (error: Error) => /REFUSED|RESET/.test(error.message),
        ) ?? true,
    );
    await first.close();
    proxy.heal();
    const second = await consume(on, orders, { lease: 60_000 });
    expect(await members()).toEqual([before]);
    await on.publish(orders, messages(1), never);
    expect(await gather(second, 1)).toHaveLength(1);
    await second.close();
    expect(await members()).toEqual([]);
  });

  test('growth from outside ends what is ordered, and goes on where nothing is', async () => {
    const on = await adapter({ metadataAge: '1s' });
    const ordered = await provisioned(on, topic(2));
    const plain = await provisioned(on);
    const [one, two] = [await consume(on, ordered), await consume(on, plain)];
    const topicPartitions = [ordered, plain].map(({ name }) => ({ topic: name, count: 4 }));
    await admin.createPartitions({ topicPartitions });
    await expect(gather(one, 1)).rejects.toThrow(/has 4 partitions, and 2 are configured/);
    await until(() =>
      on.publish(ordered, messages(1, { key: 'k', partition: 0 }), never).then(
        () => false,
        (error: Error) => /has 4 partitions/.test(error.message),
      ),
    );
    const sent = Array.from({ length: 8 }, () => messages(1)).flat();
    await until(async () => {
      const [outcome] = await on.publish(plain, sent.slice(0, 1), never);
      return outcome?.status === 'confirmed' && Number(Object.keys(outcome.position ?? {})[0]) > 1;
    });
    await until(async () => (await two.receive(100, never)).some(({ partition }) => partition > 1));
    await Promise.all([one.close(), two.close()]);
  });
}

/** Takes a member out of its group, as the coordinator does when its session ends. */
async function evict(groupId: string, memberId: string): Promise<void> {
  let leave: (() => Promise<void>) | undefined;
  raw.consumer({
    groupId,
    partitionAssigners: [
      ({ cluster }) => {
        leave = async () => {
          await cluster.connect();
          await cluster.refreshMetadata();
          const node = (await cluster.findGroupCoordinator({ groupId })) as unknown as {
            leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>;
          };
          await node.leaveGroup({ groupId, memberId });
          await cluster.disconnect();
        };
        return {
          name: '',
          version: 0,
          assign: () => Promise.resolve([]),
          protocol: () => ({ name: '', metadata: Buffer.alloc(0) }),
        };
      },
    ],
  });
  await leave?.();
}
