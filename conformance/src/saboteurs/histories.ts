import type { Delivery, Receipt, Supports } from '@waybill/core/adapter';
import type { Random } from '../random.ts';
import { claiming, overlay, publishing, receiving, subscribing } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

const spares = ['P4.headers', 'P5.verify-refuses-a-missing-topic'];

/** Something that all connections of one run share: their source of numbers is the same object. */
function shared<T>(make: () => T): (random: Random) => T {
  const runs = new WeakMap<Random, T>();
  return (random) => {
    const known = runs.get(random) ?? make();
    runs.set(random, known);
    return known;
  };
}

const givenBack = shared(() => ({ acked: new Set<string>() }));
const firsts = shared(() => new Map<string, object>());

/** Those that forget where a group, a message or a receipt belongs. */
export const HISTORIES: readonly Saboteur[] = [
  {
    id: 'says-no-position',
    title: 'Positions are those of the message before.',
    wrap: (adapter) => {
      const before = (position: Readonly<Record<string, string>>): Record<string, string> =>
        Object.fromEntries(
          Object.entries(position).map(([partition, at]) => [partition, String(Math.max(0, Number(at) - 1))]),
        );
      const stored = publishing(adapter, async (messages, send) =>
        (await send(messages)).map((one) =>
          one.status === 'confirmed' && one.position !== null ? { ...one, position: before(one.position) } : one,
        ),
      );
      return receiving(stored, (all) =>
        all.map((one) => ({ ...one, position: one.position === null ? null : before(one.position) })),
      );
    },
    caughtBy: { 'D7.position': 'messages from before the position' },
    spares,
  },
  {
    id: 'ignores-reset',
    title: 'Moving a stopped group is answered and does nothing.',
    wrap: (adapter) => overlay(adapter, { reset: async () => {} }),
    caughtBy: {
      'D8.reset-of-a-group-that-runs-elsewhere': 'succeeded with',
      'D8.reset-of-a-stopped-group': 'everything comes again',
    },
    spares,
  },
  {
    id: 'ignores-seek',
    title: 'Moving a running subscription is answered and does nothing.',
    wrap: (adapter) => subscribing(adapter, () => ({ seek: async () => {} })),
    caughtBy: { 'D8.seek-of-a-running-group': 'everything comes again' },
    spares,
  },
  {
    id: 'forgets-what-is-gone',
    patience: 0.5,
    title: 'It says that everything ever published is still held.',
    wrap: (adapter) => overlay(adapter, { oldest: async () => null }),
    caughtBy: { 'D8.older-than-what-is-held': 'and then refused' },
    spares,
  },
  {
    id: 'filters-too-much',
    title: 'A filter that the broker is said to apply leaves out one in five of what matches.',
    wrap: (adapter, random) =>
      claiming(
        subscribing(adapter, (inner, { filter }) =>
          filter === null
            ? {}
            : {
                receive: async (...args) => {
                  const all = await inner.receive(...args);
                  const out = all.filter(() => random.chance(0.2));
                  if (out.length > 0) await inner.ack(out.map(({ receipt }) => receipt));
                  return all.filter((one) => !out.includes(one));
                },
              },
        ),
        ({ deliver }): Partial<Supports> => ({ deliver: { ...deliver, filter: { by: 'native' } } }),
      ),
    caughtBy: {
      'D11.by-type-and-header': 'what matches is delivered',
      'D11.the-key-is-released-in-order': 'what matches is delivered',
    },
    spares,
  },
  {
    id: 'first-consumer-gets-all',
    title: 'While its first consumer lives, the others of an unordered group get nothing.',
    wrap: (adapter, random) =>
      subscribing(adapter, (inner, { destination, group }) => {
        const owners = firsts(random);
        const place = `${destination.name}/${group}`;
        if (destination.ordered) return {};
        if (!owners.has(place)) owners.set(place, inner);
        return {
          receive: async (...args) => {
            if (!owners.has(place)) owners.set(place, inner);
            if (owners.get(place) === inner) return inner.receive(...args);
            await new Promise((resolve) => setTimeout(resolve, 100));
            return [];
          },
          close: () => {
            if (owners.get(place) === inner) owners.delete(place);
            return inner.close();
          },
        };
      }),
    caughtBy: {
      'D9.only-this-process': 'the other member gets all',
      'D3.every-member-works': 'every member has a message',
    },
    spares,
  },
  {
    id: 'acks-what-was-given-back',
    title: 'A receipt still settles its message after that was given back.',
    wrap: (adapter, random) =>
      subscribing(adapter, (inner, { group }) => {
        const { acked } = givenBack(random);
        const back = new Map<Receipt, string>();
        const held = new Map<Receipt, Delivery>();
        return {
          receive: async (...args) => {
            const all = await inner.receive(...args);
            for (const one of all) held.set(one.receipt, one);
            const gone = all.filter(({ id }) => acked.has(`${group} ${id}`));
            if (gone.length > 0) await inner.ack(gone.map(({ receipt }) => receipt));
            return all.filter((one) => !gone.includes(one));
          },
          nack: async (receipts, options) => {
            for (const receipt of receipts) back.set(receipt, `${group} ${held.get(receipt)?.id ?? ''}`);
            await inner.nack?.(receipts, options);
          },
          ack: (receipts) => {
            for (const receipt of receipts) if (back.has(receipt)) acked.add(back.get(receipt) ?? '');
            return inner.ack(receipts);
          },
        };
      }),
    caughtBy: { 'R9.ack-after-nack': 'what was given back comes again' },
    spares,
  },
  {
    id: 'second-ack-settles-another',
    title: 'A receipt that is settled a second time settles another delivery of the same consumer.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => {
        const held = new Set<Receipt>();
        const settled = new Set<Receipt>();
        return {
          receive: async (...args) => {
            const all = await inner.receive(...args);
            for (const { receipt } of all) held.add(receipt);
            return all;
          },
          ack: async (receipts) => {
            const again = receipts.filter((receipt) => settled.has(receipt)).length;
            for (const receipt of receipts) {
              settled.add(receipt);
              held.delete(receipt);
            }
            const others = [...held].slice(0, again);
            for (const receipt of others) held.delete(receipt);
            return (await inner.ack([...receipts, ...others])).slice(0, receipts.length);
          },
        };
      }),
    caughtBy: { 'R9.twice': 'the second half comes again' },
    spares,
  },
];
