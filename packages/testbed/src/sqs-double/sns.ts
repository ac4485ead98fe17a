import { createHash, randomUUID } from 'node:crypto';
import { type MessageAttributes, type SendInput, sizeOf } from './message-rules.ts';
import type { Queue } from './queue.ts';
import { entriesOf, type Entry, type FailEntry, type Input, type Output, runBatch } from './batch.ts';
import { SqsError } from './sqs-error.ts';

export interface Subscription {
  readonly arn: string;
  /** Of a queue. */
  readonly endpoint: string;
  attributes: Readonly<Record<string, string>>;
}

export interface Topic {
  readonly arn: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly subscriptions: Subscription[];
  /** By deduplication id: when, and the id that was given. */
  readonly seen: Map<string, { readonly at: number; readonly id: string }>;
}

/** What SNS needs of the account that it is in. */
export interface SnsAccount {
  now(): number;
  /** A queue by its ARN. */
  find(arn: string): Queue | undefined;
}

/** A message that SNS took and could not bring to a queue: the publisher is not told. */
export interface Discarded {
  readonly queue: string;
  readonly why: string;
}

const MOST_BYTES = 262_144;
const MEMORY = 300_000;
const page = 100;

/** SNS with queues as its only subscribers, by its written rules. */
export class Sns {
  /** What was confirmed to its publisher and reached no queue. */
  readonly discarded: Discarded[] = [];
  readonly #account: SnsAccount;
  readonly #place: string;
  readonly #topics = new Map<string, Topic>();

  /** @param place Region and account, as ARNs have them. */
  constructor(account: SnsAccount, place: string) {
    this.#account = account;
    this.#place = place;
  }

  get topics(): readonly Topic[] {
    return [...this.#topics.values()];
  }

  /** As whoever deletes it does. */
  remove(arn: string): void {
    this.#topics.delete(arn);
  }

  /** @throws SqsError */
  run(action: string, input: Input, fail: FailEntry): Output {
    switch (action) {
      case 'CreateTopic':
        return this.#create(input);
      case 'ListTopics':
        return paged(
          [...this.#topics.keys()].map((TopicArn) => ({ TopicArn })),
          'Topics',
          input,
        );
      case 'GetTopicAttributes':
        return { Attributes: { ...this.#of(input).attributes, TopicArn: this.#of(input).arn } };
      case 'Subscribe':
        return this.#subscribe(this.#of(input), input);
      case 'ListSubscriptionsByTopic':
        return paged(this.#of(input).subscriptions.map(viewOf), 'Subscriptions', input);
      case 'GetSubscriptionAttributes':
        return { Attributes: this.#subscription(input).attributes };
      case 'SetSubscriptionAttributes': {
        const subscription = this.#subscription(input);
        const [name, value] = [text(input, 'AttributeName'), text(input, 'AttributeValue')];
        subscription.attributes = { ...subscription.attributes, [name]: value };
        return {};
      }
      case 'PublishBatch':
        return this.#publishBatch(this.#of(input), input, fail);
      default:
        throw new SqsError('InvalidAction', `The action ${action} is not valid for this endpoint.`);
    }
  }

  #create(input: Input): Output {
    const name = text(input, 'Name');
    const given = (input['Attributes'] ?? {}) as Readonly<Record<string, string>>;
    const fifo = given['FifoTopic'] === 'true';
    if (!/^[\w-]{1,256}$/.test(fifo ? name.replace(/\.fifo$/, '') : name) || name.endsWith('.fifo') !== fifo)
      throw invalid('Topic Name');
    const arn = `arn:aws:sns:${this.#place}:${name}`;
    const existing = this.#topics.get(arn);
    if (existing === undefined) this.#topics.set(arn, { arn, attributes: given, subscriptions: [], seen: new Map() });
    else if (Object.entries(given).some(([key, value]) => existing.attributes[key] !== value))
      throw invalid('Attributes Reason: Topic already exists with different attributes');
    return { TopicArn: arn };
  }

  #subscribe(topic: Topic, input: Input): Output {
    const [protocol, endpoint] = [text(input, 'Protocol'), text(input, 'Endpoint')];
    const attributes = (input['Attributes'] ?? {}) as Readonly<Record<string, string>>;
    if (protocol !== 'sqs') throw invalid('Protocol');
    if (endpoint.endsWith('.fifo') && !isFifo(topic))
      throw invalid('Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics');
    const existing = topic.subscriptions.find((one) => one.endpoint === endpoint);
    if (existing === undefined) {
      const arn = `${topic.arn}:${randomUUID()}`;
      topic.subscriptions.push({ arn, endpoint, attributes: { RawMessageDelivery: 'false', ...attributes } });
      return { SubscriptionArn: arn };
    }
    if (Object.entries(attributes).some(([name, value]) => existing.attributes[name] !== value))
      throw invalid('Attributes Reason: Subscription already exists with different attributes');
    return { SubscriptionArn: existing.arn };
  }

  #publishBatch(topic: Topic, input: Input, fail: FailEntry): Output {
    const entries = entriesOf({ Entries: input['PublishBatchRequestEntries'] });
    const sizes = entries.map((entry) => sizeOf(sendOf(entry)));
    if (sizes.reduce((sum, size) => sum + size, 0) > MOST_BYTES)
      throw new SqsError('BatchRequestTooLong', 'The length of all the batch messages put together is too long.');
    return runBatch(entries, fail, (entry) => this.#publish(topic, sendOf(entry)));
  }

  #publish(topic: Topic, input: SendInput): { MessageId: string } {
    const { MessageBody: body = '', MessageGroupId: group, MessageDeduplicationId: dedupId } = input;
    if (body === '') throw invalid('Empty message');
    for (const [name, value] of Object.entries(input.MessageAttributes ?? {}))
      if ((value.StringValue ?? value.BinaryValue ?? '') === '')
        throw invalid(`The message attribute '${name}' is empty`);
    if (!isFifo(topic)) {
      if (dedupId !== undefined) throw invalid('MessageDeduplicationId Reason: only valid for FIFO topics');
    } else if (group === undefined) throw invalid('The MessageGroupId parameter is required for FIFO topics');
    const own = dedupId ?? createHash('sha256').update(body).digest('hex');
    if (isFifo(topic) && dedupId === undefined && topic.attributes['ContentBasedDeduplication'] !== 'true')
      throw invalid(
        'The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided',
      );
    const place = topic.attributes['FifoThroughputScope'] === 'MessageGroup' ? `${group} ${own}` : own;
    const seen = isFifo(topic) ? topic.seen.get(place) : undefined;
    if (seen !== undefined && this.#account.now() - seen.at < MEMORY) return { MessageId: seen.id };
    const id = randomUUID();
    topic.seen.set(place, { at: this.#account.now(), id });
    for (const subscription of topic.subscriptions)
      this.#deliver(topic, subscription, id, { ...input, ...(isFifo(topic) && { MessageDeduplicationId: own }) });
    return { MessageId: id };
  }

  /** What a queue does not take is gone. */
  #deliver(topic: Topic, { endpoint, attributes }: Subscription, id: string, input: SendInput): void {
    const discard = (why: string): void => void this.discarded.push({ queue: endpoint, why });
    const queue = this.#account.find(endpoint);
    if (queue === undefined) return discard('there is no such queue');
    if (!lets(queue.attributes['Policy'], topic.arn)) return discard('the policy of the queue does not allow it');
    const { MessageGroupId, MessageDeduplicationId } = input;
    const order = queue.fifo ? { MessageGroupId, MessageDeduplicationId } : isFifo(topic) ? {} : { MessageGroupId };
    const raw = attributes['RawMessageDelivery'] === 'true';
    if (raw && Object.keys(input.MessageAttributes ?? {}).length > 10) return discard('more than ten attributes');
    const content = raw
      ? { MessageBody: input.MessageBody, MessageAttributes: input.MessageAttributes }
      : { MessageBody: enveloped(topic.arn, id, input) };
    try {
      queue.send(JSON.parse(JSON.stringify({ ...content, ...order })) as SendInput);
    } catch (error) {
      if (!(error instanceof SqsError)) throw error;
      discard(error.message);
    }
  }

  #of(input: Input): Topic {
    const topic = this.#topics.get(text(input, 'TopicArn'));
    if (topic !== undefined) return topic;
    throw new SqsError('NotFound', 'Topic does not exist', 404);
  }

  #subscription(input: Input): Subscription {
    const arn = text(input, 'SubscriptionArn');
    const all = [...this.#topics.values()].flatMap(({ subscriptions }) => subscriptions);
    const found = all.find((one) => one.arn === arn);
    if (found !== undefined) return found;
    throw new SqsError('NotFound', 'Subscription does not exist', 404);
  }
}

const isFifo = ({ attributes }: Topic): boolean => attributes['FifoTopic'] === 'true';

const invalid = (what: string): SqsError => new SqsError('InvalidParameter', `Invalid parameter: ${what}`);

function text(input: Input, name: string): string {
  const value = input[name];
  if (typeof value === 'string' && value !== '') return value;
  throw invalid(name);
}

function sendOf({ Message, ...rest }: Entry): SendInput {
  return { ...rest, MessageBody: typeof Message === 'string' ? Message : '' };
}

function viewOf({ arn, endpoint }: Subscription): Output {
  return { SubscriptionArn: arn, Endpoint: endpoint, Protocol: 'sqs' };
}

/** A hundred at a time. */
function paged(all: readonly Output[], name: string, { NextToken: token = '0' }: Input): Output {
  const end = Number(token) + page;
  return { [name]: all.slice(Number(token), end), ...(end < all.length && { NextToken: String(end) }) };
}

/** What a statement needs for SNS to send for this topic. A queue without a policy lets nobody but its owner. */
function lets(policy: string | undefined, topic: string): boolean {
  if (policy === undefined || policy === '') return false;
  const { Statement = [] } = JSON.parse(policy) as { Statement?: readonly PolicyStatement[] };
  return Statement.some(
    ({ Effect, Principal, Action, Condition = {} }) =>
      Effect === 'Allow' &&
      Principal?.Service === 'sns.amazonaws.com' &&
      Action === 'sqs:SendMessage' &&
      (Condition['ArnEquals']?.['aws:SourceArn'] === topic || Condition['ArnLike']?.['aws:SourceArn'] === topic),
  );
}

interface PolicyStatement {
  readonly Effect?: string;
  readonly Principal?: { readonly Service?: string };
  readonly Action?: string;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** What a subscription without raw delivery gets. */
function enveloped(TopicArn: string, MessageId: string, { MessageBody, MessageAttributes = {} }: SendInput): string {
  const attributes = Object.entries(MessageAttributes satisfies MessageAttributes).map(([name, value]) => [
    name,
    { Type: value.DataType, Value: value.StringValue ?? value.BinaryValue },
  ]);
  const own = attributes.length === 0 ? {} : { MessageAttributes: Object.fromEntries(attributes) as object };
  return JSON.stringify({ Type: 'Notification', MessageId, TopicArn, Message: MessageBody, ...own });
}
