import type { ConformanceCase } from '../../case.ts';
import { closing } from './closing.ts';
import { closed } from './closed.ts';
import { configuration } from './configuration.ts';
import { manifest } from './manifest.ts';
import { runtimeSecrets } from './runtime-secrets.ts';
import { secrets } from './secrets.ts';
import { errorCodes } from './codes.ts';
import { draining } from './draining.ts';
import { losses } from './losses.ts';
import { reconnecting } from './reconnecting.ts';

export const lifeCases: readonly ConformanceCase[] = [
  ...reconnecting,
  ...losses,
  ...draining,
  ...closing,
  ...closed,
  ...errorCodes,
  ...configuration,
  ...secrets,
  ...runtimeSecrets,
  ...manifest,
];
