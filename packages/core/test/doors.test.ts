import { expect, test } from 'vitest';

test('both doors of core open without a build', async () => {
  expect(await import('@waybill/core')).toBeTypeOf('object');
  expect(await import('@waybill/core/adapter')).toBeTypeOf('object');
});
