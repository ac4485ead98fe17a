import { startAtAddress, startInContainer, startProcess, type Start } from './ways.ts';
import { isNotRun, type NotRun, type Tried, variable, type Way, WAYS } from './not-run.ts';
import { elasticmq, type SqsBroker, type SqsExtras, type SqsStart } from './elasticmq.ts';
import { kafka, type KafkaBroker, type KafkaExtras, type KafkaStart } from './kafka.ts';
import { findKit, kitRemedy } from './kit.ts';
import type { Environment } from './program.ts';
import { rabbitmq, type RabbitmqBroker, type RabbitmqExtras, type RabbitmqStart } from './rabbitmq.ts';
import { redis, type RedisBroker, type RedisExtras, type RedisStart } from './redis.ts';
import type { Recipe } from './recipe.ts';
import { type StartOptions, TestbedError } from './running-broker.ts';

/** Every broker that the testbed can start: its options, and what its handle has. */
export interface Brokers {
  readonly redis: { readonly options: RedisStart; readonly extras: RedisExtras; readonly broker: RedisBroker };
  readonly kafka: { readonly options: KafkaStart; readonly extras: KafkaExtras; readonly broker: KafkaBroker };
  readonly rabbitmq: {
    readonly options: RabbitmqStart;
    readonly extras: RabbitmqExtras;
    readonly broker: RabbitmqBroker;
  };
  readonly sqs: { readonly options: SqsStart; readonly extras: SqsExtras; readonly broker: SqsBroker };
  readonly 'sqs-fifo': { readonly options: SqsStart; readonly extras: SqsExtras; readonly broker: SqsBroker };
}

export type BrokerName = keyof Brokers;

const recipes: { readonly [N in BrokerName]: Recipe<Brokers[N]['options'], Brokers[N]['extras']> } = {
  redis,
  kafka,
  rabbitmq,
  sqs: elasticmq('sqs'),
  'sqs-fifo': elasticmq('sqs-fifo'),
};

export const BROKER_NAMES: readonly BrokerName[] = Object.keys(recipes) as BrokerName[];

const starts: Readonly<
  Record<Way, <O extends StartOptions, E extends object>(start: Start<O, E>) => Promise<unknown>>
> = {
  address: startAtAddress,
  container: startInContainer,
  process: startProcess,
};

/**
 * A running broker: the one at the address in `WAYBILL_<NAME>_URL`; else one of our own in a container, when an engine
 * answers; else in a process, when its program is there. None of them: why, and what to do about it, which is an answer.
 * `WAYBILL_BROKER_FROM` or `from` leaves one way only. A broker of our own listens on loopback, with random credentials.
 *
 * @example
 * const redis = await startBroker('redis');
 * if (isNotRun(redis)) return context.skip(describeNotRun(redis));
 * await using broker = redis;
 *
 * @throws TestbedError when the address is set and nothing answers there, and for wrong options
 */
export async function startBroker<N extends BrokerName>(
  name: N,
  options: Brokers[N]['options'] = {},
): Promise<Brokers[N]['broker'] | NotRun> {
  const recipe = recipeOf(name);
  const env = options.env ?? process.env;
  recipe.plan(options, []); // wrong options are wrong on every way
  const tried: Tried[] = [];
  for (const way of waysOf(options.from, env)) {
    const answer = await starts[way]({ recipe, options, env, tried: [...tried] });
    if (typeof answer !== 'string') return answer as Brokers[N]['broker'];
    tried.push({ way, reason: answer });
  }
  return notRun(recipe, options, env, tried);
}

/** A broker, or an error for those who can't go on without. @throws TestbedError */
export async function requireBroker<N extends BrokerName>(
  name: N,
  options: Brokers[N]['options'] = {},
): Promise<Brokers[N]['broker']> {
  const answer = await startBroker(name, options);
  if (isNotRun(answer)) throw new TestbedError(`no ${name}: ${answer.reason}; ${answer.remedy}`);
  return answer;
}

function recipeOf<N extends BrokerName>(name: N): Recipe<Brokers[N]['options'], Brokers[N]['extras']> {
  if (Object.hasOwn(recipes, name)) return recipes[name];
  throw new TestbedError(`the testbed has no broker '${name as string}'; allowed: ${BROKER_NAMES.join(', ')}`);
}

/**
 * Installs what a process of this broker needs: Debian packages, and jars by Maven; only what is not there. Resolves
 * with the path of the program, or of the folder of jars. It asks nobody: call it only when the user has.
 *
 * @throws TestbedError saying why not, and what to type
 */
export async function installBroker(name: BrokerName, env: Environment = process.env): Promise<string> {
  const kit = await findKit(recipeOf(name), {}, env, true);
  if (typeof kit === 'string') throw new TestbedError(kit);
  return kit.stock === '' ? kit.program : kit.stock;
}

function waysOf(from: Way | undefined, env: Environment): readonly Way[] {
  const said = from ?? env['WAYBILL_BROKER_FROM'];
  if (said === undefined || said === '') return WAYS;
  const way = WAYS.find((one) => one === said);
  if (way !== undefined) return [way];
  const where = from === undefined ? 'WAYBILL_BROKER_FROM' : 'from';
  throw new TestbedError(`${where} is '${said}'; allowed: ${WAYS.join(', ')}`);
}

function notRun<O extends StartOptions>(
  recipe: Recipe<O, object>,
  options: O,
  env: Environment,
  tried: readonly Tried[],
): NotRun {
  const { name } = recipe;
  const remedies: Readonly<Record<Way, () => string>> = {
    address: () => `set ${variable(name, 'URL')} to the address of one`,
    container: () => 'start a container engine',
    process: () => kitRemedy(recipe, options, env),
  };
  return {
    broker: name,
    reason: tried.map(({ reason }) => reason).join('; '),
    remedy: tried.map(({ way }) => remedies[way]()).join('; or '),
    tried,
  };
}
