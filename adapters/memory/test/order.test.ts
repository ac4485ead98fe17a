import type { Delivery } from '@waybill/core/adapter';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  at,
  Bench,
  inbox,
  keyed,
  type Member,
  message,
  receipts,
  signal,
  text,
  texts,
  topic,
  turns,
} from './support.ts';

/** What each member owns, as it was told. */
function owned(member: Member): number[] {
  const gone = [...member.revoked, ...member.lost].flat();
  const held = member.assigned.flat();
  for (const partition of gone) held.splice(held.indexOf(partition), 1);
  return held.toSorted((a, b) => a - b);
}

const none = (): void => {};
const in0 = (name: string, key = 'k') => message(name, { key, partition: 0 });

test('partitions are spread evenly, each with one owner, and move when a member joins or leaves', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one(12);
  expect(owned(g)).toHaveLength(12);
  const second = await bench.subscribe(await bench.adapter(), orders, { consumer: '2' });
  const third = await bench.subscribe(await bench.adapter(), orders, { consumer: '3' });
  const all = [g, second, third].map(owned);
  expect(all.map(({ length }) => length)).toEqual([4, 4, 4]);
  expect(all.flat().toSorted((a, b) => a - b)).toEqual([...Array(12).keys()]);
  const everyone = Array.from({ length: 12 }, (_, partition) => message('', { key: 'k', partition }));
  await adapter.publish(orders, everyone, signal);
  for (const [index, member] of [g, second, third].entries()) {
    expect((await bench.take(member)).map(({ partition }) => partition).toSorted((a, b) => a - b)).toEqual(all[index]);
  }
  await second.close();
  await turns();
  expect([g, third].map(owned).map(({ length }) => length)).toEqual([6, 6]);
});

test('a hand-over waits for the drain, up to its deadline, and raises the fence', async () => {
  for (const late of [false, true]) {
    const bench = new Bench({ handover: 10_000 });
    const { adapter, orders, g } = await bench.one(4);
    await g.close();
    let drained: () => void = none;
    const moving: number[] = [];
    const lost: number[] = [];
    const old = await bench.subscribe(adapter, orders, {
      consumer: 'old',
      lease: 60_000,
      onRevoked: (partitions) => {
        moving.push(...partitions);
        return new Promise((resolve) => (drained = resolve));
      },
      onLost: (partitions) => lost.push(...partitions),
    });
    const fill = Array.from({ length: 12 }, (_, n) => message(`${n}`, { key: 'k', partition: n % 4 }));
    await adapter.publish(orders, fill, signal);
    const held = await bench.take(old, 12);
    const fresh = await bench.subscribe(await bench.adapter(), orders, { consumer: 'new' });
    expect(moving).toHaveLength(2);
    expect(await bench.take(fresh)).toEqual([]);
    // What is held may be settled until the drain is over, and new messages of what moves stay where they are.
    const firsts = moving.map((partition) => held.find((one) => one.partition === partition) as Delivery);
    expect(await old.ack(receipts(firsts))).toEqual(['ok', 'ok']);
    if (late) await bench.clock.pass(10_000);
    else drained();
    await turns();
    expect(lost).toEqual(late ? moving : []);
    const got = await bench.take(fresh);
    const rest = held.filter((one) => moving.includes(one.partition) && !firsts.includes(one));
    expect(texts(got).toSorted()).toEqual(texts(rest).toSorted());
    expect([held, got].map((some) => new Set(some.map(({ fence }) => fence)))).toEqual([new Set([2]), new Set([3])]);
    expect(await old.ack(receipts(rest))).toEqual(rest.map(() => 'lost'));
    const kept = held.filter((one) => !moving.includes(one.partition));
    expect(await old.ack(receipts(kept))).toEqual(kept.map(() => 'ok'));
  }
});

test('the inbox has the same owner, partition by partition', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one(6);
  const other = await bench.subscribe(await bench.adapter(), orders, { consumer: '2' });
  const spread = Array.from({ length: 6 }, (_, partition) => message('', { key: 'k', partition }));
  await adapter.publish(orders, spread, signal);
  await adapter.publish(
    inbox(orders, 'g'),
    spread.map((one) => ({ ...one, sendId: `${one.id}/copy` })),
    signal,
  );
  for (const member of [g, other]) {
    const got = await bench.take(member);
    const of = (origin: string): number[] =>
      got.filter((one) => one.origin === origin).map(({ partition }) => partition);
    expect(new Set(of('inbox'))).toEqual(new Set(of('topic')));
  }
});

test('what comes back is first, in order; a lost lease takes the later messages of its key along', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one(1);
  const names = ['a1', 'b1', 'a2', 'b2', 'a3'];
  await adapter.publish(
    orders,
    names.map((name) => in0(name, name[0])),
    signal,
  );
  const held = await bench.take(g, 4);
  expect(bench.broker.faults.loseLease(at(held, 0))).toBe(true);
  const again = await bench.take(g);
  expect(texts(again)).toEqual(['a1', 'a2', 'a3']);
  expect(await g.ack(receipts(held))).toEqual(['lost', 'ok', 'lost', 'ok']);
  expect(await g.ack(receipts(again))).toEqual(['ok', 'ok', 'ok']);
});

test('a key that waits out a delay keeps its later messages behind it, and no others', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one(1);
  await adapter.publish(
    orders,
    ['a1', 'a2', 'b1'].map((name) => in0(name, name[0])),
    signal,
  );
  const [a1, a2, b1] = (await bench.take(g)) as [Delivery, Delivery, Delivery];
  await g.nack?.([a2.receipt], { delay: 0, failed: false, attempt: 1 });
  await g.nack?.([a1.receipt], { delay: 4_000, failed: true, attempt: 2 });
  await g.ack([b1.receipt]);
  await adapter.publish(
    orders,
    ['a3', 'b2'].map((name) => in0(name, name[0])),
    signal,
  );
  expect(texts(await bench.take(g))).toEqual(['b2']);
  await bench.clock.pass(4_000);
  expect(texts(await bench.take(g))).toEqual(['a1', 'a2', 'a3']);
});

test('receive leaves out the partitions that it is told to skip', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one(3);
  await adapter.publish(
    orders,
    [0, 1, 2].map((partition) => message(`${partition}`, { key: 'k', partition })),
    signal,
  );
  expect(texts(await g.receive(10, signal, new Set([0, 2])))).toEqual(['1']);
  expect(texts(await bench.take(g)).toSorted()).toEqual(['0', '2']);
});

test('no partition comes always first', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one(4);
  const many = Array.from({ length: 400 }, (_, n) => message(`${n % 4}`, { key: 'k', partition: n % 4 }));
  await adapter.publish(orders, many, signal);
  const firsts = new Set<string>();
  for (let n = 0; n < 8; n++) firsts.add(text(at(await bench.take(g, 10), 0)));
  expect(firsts.size).toBe(4);
});

test('another partition count is refused, both counts named (O7)', async () => {
  const bench = new Bench();
  const { adapter, g } = await bench.one(12);
  const wrong = topic('orders', 6);
  const attempts = [
    () => adapter.publish(wrong, [keyed('', 'k', 6)], signal),
    () => bench.subscribe(adapter, wrong),
    () => bench.provision(adapter, wrong, 'g'),
    () => adapter.provision({ topology: 'verify', destination: wrong, retention: null, groups: [] }, signal),
    () => adapter.provision({ topology: 'none', destination: topic('orders'), retention: null, groups: [] }, signal),
  ];
  for (const attempt of attempts) {
    const error = await attempt().then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(adapter.classify(error)).toBe('invalid');
    expect(String(error)).toMatch(/12 partitions, not (6 partitions|no partition count)/);
  }
  await g.close();
});

test('whatever happens, no message of a key overtakes an unsettled one', async () => {
  const who = fc.nat(1);
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('receive' as const), who, max: fc.integer({ min: 1, max: 6 }) }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('ack' as const), who, key: fc.nat(3) }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('nack' as const), who, key: fc.nat(3), delay: fc.nat(900) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constantFrom('lose' as const, 'close' as const), who, key: fc.nat(3) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 900 }) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 80 }), async (steps) => {
      const bench = new Bench();
      const { adapter, orders, g } = await bench.one(2);
      await g.close();
      const join = (consumer: number) => bench.subscribe(adapter, orders, { consumer: `${consumer}`, lease: 1_000 });
      const members = [await join(0), await join(1)];
      // Four keys, two in each partition; a message's text is its number among those of its key.
      const all = Array.from({ length: 40 }, (_, n) => message(`${n >> 2}`, { key: `${n & 3}`, partition: n & 1 }));
      await adapter.publish(orders, all, signal);
      const settled = [0, 0, 0, 0];
      const held: Delivery[][] = [[], []];
      const ofKey = (index: number, key: number): Delivery[] => at(held, index).filter((one) => one.key === `${key}`);
      const forget = (index: number, some: Delivery[]): void => {
        held[index] = at(held, index).filter((one) => !some.includes(one));
      };
      const prune = async (index: number): Promise<void> => {
        const leases = (await at(members, index).extend?.(receipts(at(held, index)), 1_000)) ?? [];
        held[index] = at(held, index).filter((_, n) => leases[n] !== 'lost');
      };
      const receive = async (index: number, max: number): Promise<void> => {
        const got = await bench.take(at(members, index), max);
        await prune(0);
        await prune(1);
        for (const one of got) {
          const key = Number(one.key);
          const before = [0, 1].flatMap((other) => ofKey(other, key)).map((other) => Number(text(other)));
          // Everything earlier is settled, or held and not lost.
          for (let n = at(settled, key); n < Number(text(one)); n++) expect(before).toContain(n);
          expect(Number(text(one))).toBeGreaterThanOrEqual(at(settled, key));
          at(held, index).push(one);
        }
      };
      const ack = async (index: number, key: number): Promise<void> => {
        const first = ofKey(index, key)[0];
        if (first === undefined) return;
        const [result] = await at(members, index).ack([first.receipt]);
        forget(index, [first]);
        if (result !== 'ok') return;
        expect(Number(text(first))).toBe(at(settled, key));
        settled[key] = at(settled, key) + 1;
      };
      for (const one of steps) {
        if (one.kind === 'pass') await bench.clock.pass(one.ms);
        else if (one.kind === 'receive') await receive(one.who, one.max);
        else if (one.kind === 'ack') await ack(one.who, one.key);
        else if (one.kind === 'nack') {
          // As core does: the later messages of the key go back before it.
          const some = ofKey(one.who, one.key).toReversed();
          const first = some.pop();
          await at(members, one.who).nack?.(receipts(some), { delay: 0, failed: false, attempt: 1 });
          if (first !== undefined)
            await at(members, one.who).nack?.([first.receipt], { delay: one.delay, failed: true, attempt: 2 });
          forget(one.who, ofKey(one.who, one.key));
        } else if (one.kind === 'lose') {
          const first = ofKey(one.who, one.key)[0];
          if (first !== undefined) bench.broker.faults.loseLease(first);
        } else {
          await at(members, one.who).close();
          members[one.who] = await join(one.who);
          held[one.who] = [];
        }
      }
      await bench.clock.pass(2_000);
      for (let round = 0; round < 200 && settled.some((count) => count < 10); round++) {
        for (const index of [0, 1]) {
          await receive(index, 100);
          for (const key of [0, 1, 2, 3]) while (ofKey(index, key).length > 0) await ack(index, key);
        }
      }
      expect(settled).toEqual([10, 10, 10, 10]);
    }),
    { numRuns: 100 },
  );
}, 60_000);
