import type { BenchBroker } from '../bench-client.ts';
import { redis } from './redis.ts';

export const BROKERS: readonly BenchBroker[] = [redis];
