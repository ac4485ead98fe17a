import type { BenchBroker } from '../bench-client.ts';
import { kafka } from './kafka.ts';
import { rabbitmq } from './rabbitmq.ts';
import { redis } from './redis.ts';
import { sqs, sqsFifo } from './sqs.ts';

export const BROKERS: readonly BenchBroker[] = [kafka, rabbitmq, redis, sqs, sqsFifo];
