import type { Adapter, Supports } from '@waybill/core/adapter';
import { claiming, overlay } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

const spares = ['P4.headers', 'O1.next-waits-for-settled'];

/** Those whose manifest, or whose classification of errors, can't be relied on. */
export const MANIFESTS: readonly Saboteur[] = [
  {
    id: 'manifest-made-anew',
    title: 'Each look at the manifest makes another one, which nobody has frozen.',
    wrap: (adapter) =>
      overlay(adapter, {
        get supports(): Supports {
          return structuredClone(adapter.supports);
        },
      }),
    caughtBy: { 'L5.manifest-is-fixed': 'frozen' },
    spares,
  },
  {
    id: 'manifest-with-a-hole',
    title: 'A field of the manifest is missing.',
    wrap: (adapter) =>
      claiming(adapter, ({ receive }) => ({ receive: { ...receive, batch: undefined as unknown as number } })),
    caughtBy: {
      'L5.manifest-is-complete': 'receive.batch is undefined',
    },
    spares: [],
  },
  {
    id: 'claims-a-missing-method',
    title: 'It says that it can tell the lag, and has no method for it.',
    wrap: (adapter) => overlay(adapter, { lag: undefined as unknown as NonNullable<Adapter['lag']> }),
    caughtBy: {
      'L5.manifest-tells-the-methods': 'lag: false',
    },
    spares,
  },
  {
    id: 'classify-throws',
    title: 'The classification of an error that is none throws one itself.',
    wrap: (adapter) =>
      overlay(adapter, {
        classify: (error) => ((error as Error).message.length > 0 ? adapter.classify(error) : 'unclassified'),
      }),
    caughtBy: { 'L4.classify-is-total': 'classify of' },
    spares,
  },
  {
    id: 'loss-without-a-code',
    title: 'A broken connection is classified as an error that nobody knows.',
    wrap: (adapter) =>
      overlay(adapter, {
        classify: (error) => {
          const code = adapter.classify(error);
          return code === 'disconnected' ? 'unclassified' : code;
        },
      }),
    caughtBy: {
      'L1.absent-at-start': "failed with code 'unclassified'",
      'L1.health-follows-the-connection': 'health says that it is reconnecting',
      'L4.broken-connection-has-a-code': 'it is ready again',
    },
    spares,
  },
];
