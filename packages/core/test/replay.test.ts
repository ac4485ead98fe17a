import { expect, test } from 'vitest';
import type { Place } from '../src/places.ts';
import { planReplay, type ReplayOptions } from '../src/replay.ts';

const native = { by: 'native' };
const supports = {
  lease: { default: 30_000, max: null, granularity: 1 },
  receive: { batch: 10, credit: 'subscription' },
  deliver: { replay: native },
};
const place = {
  topic: { name: 'orders', ordered: false },
  destination: { partitions: null },
  broker: { link: { adapter: { supports } } },
  unmet: [],
} as unknown as Place;
const plan = (options: object): ReturnType<typeof planReplay> =>
  planReplay(place, { group: 'reco', from: 'earliest', ...options } as ReplayOptions, 1_000_000);

test('so long ago is a time, the beginning of time at the earliest', () => {
  expect(plan({ from: '10s' }).start).toEqual({ time: 990_000 });
  expect(plan({ from: 1_000 }).start).toEqual({ time: 999_000 });
  expect(plan({ from: '30d' }).start).toEqual({ time: 0 });
});

test.each([
  [{ from: 'begin' }, "from is 'begin'"],
  [{ from: undefined }, 'from is undefined'],
  [{ to: 'tomorrow' }, "to is 'tomorrow'; allowed: now"],
  [{ rate: 0 }, 'rate is 0; allowed: messages per second above 0'],
  [{ rate: '5' }, "rate is '5'"],
  [{ partial: 'yes' }, "partial is 'yes'"],
  [{ retry: { attempts: 1 } }, 'retry is not an option; allowed: group, from'],
])('what a replay can not heed is refused: %o', (options, said) => {
  expect(() => plan(options)).toThrow(said);
});
