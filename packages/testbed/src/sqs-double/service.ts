import { randomUUID } from 'node:crypto';
import { entriesOf, type Entry, type FailEntry, type Input, type Output, runBatch } from './batch.ts';
import { md5, md5OfAttributes, type MessageAttributes, type SendInput, sizeOf } from './message-rules.ts';
import { type Account, Queue, type Stored } from './queue.ts';
import { checkedAttributes, checkQueueName, type QueueAttributes, redrivePolicyOf } from './queue-rules.ts';
import { invalidValue, missing, SqsError } from './sqs-error.ts';

interface MoveTask {
  readonly handle: string;
  readonly source: string;
  readonly destination: string | null;
  readonly started: number;
  status: 'RUNNING' | 'COMPLETED' | 'FAILED';
  moved: number;
}

export const accountId = '000000000000';
/** A deleted name can't be used again for a minute. */
const NAME_REST = 60_000;
const MOST_BATCH_BYTES = 1_048_576;

/** The operations of one account in one region. What they answer is what SQS answers, after the JSON protocol. */
export class Service {
  readonly #account: Account;
  readonly #region: string;
  readonly #queues = new Map<string, Queue>();
  readonly #deleted = new Map<string, number>();
  readonly #tasks: MoveTask[] = [];

  constructor(account: Omit<Account, 'find'>, region: string) {
    this.#account = Object.assign(account, { find: (arn: string) => this.#byArn(arn) });
    this.#region = region;
  }

  get queues(): ReadonlyMap<string, Queue> {
    return this.#queues;
  }

  /** What is due by the clock happens now. */
  wake(): void {
    for (const queue of this.#queues.values()) queue.wake();
  }

  close(): void {
    for (const queue of this.#queues.values()) queue.close();
  }

  /** @param base Where queue URLs point to. @throws SqsError */
  async run(operation: string, input: Input, base: string, fail: FailEntry): Promise<Output> {
    switch (operation) {
      case 'CreateQueue':
        return this.#create(input, base);
      case 'GetQueueUrl':
        return { QueueUrl: urlOf(this.#named(text(input, 'QueueName')), base) };
      case 'ListQueues':
        return this.#list(input, base);
      case 'DeleteQueue':
        return this.#delete(this.#of(input));
      case 'GetQueueAttributes':
        return { Attributes: this.#attributes(this.#of(input), names(input['AttributeNames'])) };
      case 'SetQueueAttributes':
        return this.#set(this.#of(input), input['Attributes'] as QueueAttributes);
      case 'SendMessage':
        return this.#of(input).send(input);
      case 'SendMessageBatch':
        return this.#sendBatch(this.#of(input), input, fail);
      case 'ReceiveMessage':
        return this.#receive(this.#of(input), input);
      case 'DeleteMessage':
        this.#of(input).delete(text(input, 'ReceiptHandle'));
        return {};
      case 'DeleteMessageBatch':
        return this.#batch(input, fail, (entry) => this.#of(input).delete(text(entry, 'ReceiptHandle')));
      case 'ChangeMessageVisibility':
        this.#of(input).changeVisibility(text(input, 'ReceiptHandle'), Number(input['VisibilityTimeout']));
        return {};
      case 'ChangeMessageVisibilityBatch':
        return this.#batch(input, fail, (entry) =>
          this.#of(input).changeVisibility(text(entry, 'ReceiptHandle'), Number(entry['VisibilityTimeout'])),
        );
      case 'PurgeQueue':
        this.#of(input).purge();
        return {};
      case 'ListDeadLetterSourceQueues':
        return { queueUrls: this.#sourcesOf(this.#of(input)).map((queue) => urlOf(queue, base)) };
      case 'StartMessageMoveTask':
        return this.#move(input);
      case 'ListMessageMoveTasks':
        return this.#moves(input);
      default:
        throw new SqsError('UnsupportedOperation', `The operation ${operation} is not supported.`);
    }
  }

  #create(input: Input, base: string): Output {
    const name = text(input, 'QueueName');
    const given = (input['Attributes'] ?? {}) as QueueAttributes;
    const fifo = given['FifoQueue'] === 'true';
    checkQueueName(name, fifo);
    const existing = this.#queues.get(name);
    if (existing !== undefined) {
      const differs = Object.entries(given).find(([key, value]) => existing.attributes[key] !== value);
      if (differs === undefined) return { QueueUrl: urlOf(existing, base) };
      throw new SqsError(
        'QueueNameExists',
        `A queue already exists with the same name and a different value for attribute ${differs[0]}`,
      );
    }
    if (this.#account.now() - (this.#deleted.get(name) ?? -Infinity) < NAME_REST)
      throw new SqsError(
        'QueueDeletedRecently',
        'You must wait 60 seconds after deleting a queue before you can create another with the same name.',
      );
    const arn = `arn:aws:sqs:${this.#region}:${accountId}:${name}`;
    const attributes = checkedAttributes(given, { own: null, arn, find: (target) => this.#byArn(target) });
    const queue = new Queue(name, arn, attributes, this.#account);
    this.#queues.set(name, queue);
    return { QueueUrl: urlOf(queue, base) };
  }

  #list({ QueueNamePrefix: prefix = '', MaxResults: max, NextToken: token }: Input, base: string): Output {
    const found = [...this.#queues.values()].filter(({ name }) => name.startsWith(prefix as string));
    const from = token === undefined ? 0 : Number(token);
    const end = from + Number(max ?? 1_000);
    const more = max !== undefined && end < found.length; // without a maximum nothing says that there is more
    return {
      QueueUrls: found.slice(from, end).map((queue) => urlOf(queue, base)),
      ...(more && { NextToken: String(end) }),
    };
  }

  #delete(queue: Queue): Output {
    this.#queues.delete(queue.name);
    this.#deleted.set(queue.name, this.#account.now());
    queue.close();
    return {};
  }

  #set(queue: Queue, given: QueueAttributes): Output {
    queue.attributes = checkedAttributes(given, {
      own: queue.attributes,
      arn: queue.arn,
      find: (target) => this.#byArn(target),
    });
    queue.modified = this.#account.now();
    return {};
  }

  #attributes(queue: Queue, wanted: readonly string[]): QueueAttributes | undefined {
    const counts = queue.counts();
    const all: QueueAttributes = {
      ...queue.attributes,
      QueueArn: queue.arn,
      CreatedTimestamp: String(Math.floor(queue.created / 1_000)),
      LastModifiedTimestamp: String(Math.floor(queue.modified / 1_000)),
      ApproximateNumberOfMessages: String(counts.visible),
      ApproximateNumberOfMessagesNotVisible: String(counts.inFlight),
      ApproximateNumberOfMessagesDelayed: String(counts.delayed),
    };
    if (wanted.includes('All')) return all;
    const chosen = Object.entries(all).filter(([name]) => wanted.includes(name));
    return chosen.length === 0 ? undefined : Object.fromEntries(chosen);
  }

  #sendBatch(queue: Queue, input: Input, fail: FailEntry): Output {
    const entries = entriesOf(input);
    if (entries.reduce((sum, entry) => sum + sizeOf(entry as SendInput), 0) > MOST_BATCH_BYTES)
      throw new SqsError('BatchRequestTooLong', `Batch requests cannot be longer than ${MOST_BATCH_BYTES} bytes.`);
    const contentDedup = queue.attributes['ContentBasedDeduplication'] === 'true';
    for (const entry of queue.fifo ? entries : []) {
      if (entry['MessageGroupId'] === undefined) throw missing('MessageGroupId');
      if (entry['MessageDeduplicationId'] === undefined && !contentDedup)
        throw invalidValue(
          'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
        );
    }
    return this.#batch(input, fail, (entry) => queue.send(entry as SendInput));
  }

  #batch(input: Input, fail: FailEntry, use: (entry: Entry) => Output | void): Output {
    return runBatch(entriesOf(input), fail, use);
  }

  async #receive(queue: Queue, input: Input): Promise<Output> {
    const max = Number(input['MaxNumberOfMessages'] ?? 1);
    const wait = Number(input['WaitTimeSeconds'] ?? queue.attributes['ReceiveMessageWaitTimeSeconds']);
    const visibility = Number(input['VisibilityTimeout'] ?? queue.attributes['VisibilityTimeout']);
    if (!(Number.isInteger(max) && max >= 1 && max <= 10))
      throw invalidValue(
        `Value ${max} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.`,
      );
    if (!(wait >= 0 && wait <= 20)) throw invalidValue(`Value ${wait} for parameter WaitTimeSeconds is invalid.`);
    if (!(visibility >= 0 && visibility <= 43_200))
      throw invalidValue(`Value ${visibility} for parameter VisibilityTimeout is invalid.`);
    const attemptId = input['ReceiveRequestAttemptId'] as string | undefined;
    const found = await queue.receive({ max, visibility, wait, attemptId });
    if (found.length === 0) return {};
    const system = [...names(input['AttributeNames']), ...names(input['MessageSystemAttributeNames'])];
    const own = names(input['MessageAttributeNames']);
    return { Messages: found.map((stored) => view(stored, system, own)) };
  }

  #move(input: Input): Output {
    const source = this.#byArn(text(input, 'SourceArn'));
    if (source === undefined) throw new SqsError('ResourceNotFoundException', 'The source queue does not exist.');
    const [sourceOf] = this.#sourcesOf(source);
    if (sourceOf === undefined) throw invalidValue('Source queue must be configured as a Dead Letter Queue.');
    const given = input['DestinationArn'] as string | undefined;
    const task: MoveTask = {
      handle: randomUUID(),
      source: source.arn,
      destination: given ?? null,
      started: this.#account.now(),
      status: 'RUNNING',
      moved: 0,
    };
    this.#tasks.unshift(task);
    const destination = given === undefined ? sourceOf : this.#byArn(given);
    task.status = destination === undefined ? 'FAILED' : 'COMPLETED';
    for (const stored of destination === undefined ? [] : source.takeVisible()) {
      const id = randomUUID();
      const sent = this.#account.now();
      destination?.arrive({ ...stored, id, sent, count: 0, firstReceived: 0, sourceArn: null, deleted: false });
      task.moved++;
    }
    return { TaskHandle: task.handle };
  }

  #moves(input: Input): Output {
    const source = text(input, 'SourceArn');
    const found = this.#tasks.filter((task) => task.source === source).slice(0, Number(input['MaxResults'] ?? 1));
    return {
      Results: found.map(({ handle, status, moved, started, destination }) => ({
        ...(status === 'RUNNING' && { TaskHandle: handle }),
        ...(destination !== null && { DestinationArn: destination }),
        Status: status,
        SourceArn: source,
        ApproximateNumberOfMessagesMoved: moved,
        StartedTimestamp: started,
      })),
    };
  }

  #sourcesOf(target: Queue): Queue[] {
    return [...this.#queues.values()].filter(
      ({ attributes }) => redrivePolicyOf(attributes)?.deadLetterTargetArn === target.arn,
    );
  }

  #of(input: Input): Queue {
    return this.#named(text(input, 'QueueUrl').split('/').at(-1) ?? '');
  }

  #named(name: string): Queue {
    const queue = this.#queues.get(name);
    if (queue !== undefined) return queue;
    throw new SqsError('QueueDoesNotExist', 'The specified queue does not exist.');
  }

  #byArn(arn: string): Queue | undefined {
    return [...this.#queues.values()].find((queue) => queue.arn === arn);
  }
}

function text(input: Input, name: string): string {
  const value = input[name];
  if (typeof value === 'string' && value !== '') return value;
  throw missing(name);
}

function names(list: unknown): readonly string[] {
  return Array.isArray(list) ? (list as string[]) : [];
}

function urlOf({ name }: Queue, base: string): string {
  return `${base}/${accountId}/${name}`;
}

/** A message as a receive shows it: only what was asked for. */
function view(stored: Stored, system: readonly string[], own: readonly string[]): Output {
  const all: Record<string, string | undefined> = {
    SenderId: accountId,
    SentTimestamp: String(stored.sent),
    ApproximateReceiveCount: String(stored.count),
    ApproximateFirstReceiveTimestamp: String(stored.firstReceived),
    AWSTraceHeader: stored.traceHeader,
    MessageGroupId: stored.group,
    MessageDeduplicationId: stored.dedupId,
    SequenceNumber: stored.dedupId === undefined ? undefined : String(stored.sequence).padStart(20, '0'),
    DeadLetterQueueSourceArn: stored.sourceArn ?? undefined,
  };
  const attributes = Object.entries(all).filter(
    ([name, value]) => value !== undefined && (system.includes('All') || system.includes(name)),
  );
  const chosen = Object.entries(stored.attributes).filter(([name]) => own.some((pattern) => matches(pattern, name)));
  const messageAttributes: MessageAttributes = Object.fromEntries(chosen);
  return {
    MessageId: stored.id,
    ReceiptHandle: stored.handle,
    MD5OfBody: md5(stored.body),
    Body: stored.body,
    ...(attributes.length > 0 && { Attributes: Object.fromEntries(attributes) }),
    ...(chosen.length > 0 && {
      MessageAttributes: messageAttributes,
      MD5OfMessageAttributes: md5OfAttributes(messageAttributes),
    }),
  };
}

function matches(pattern: string, name: string): boolean {
  if (pattern === 'All' || pattern === '.*') return true;
  return pattern.endsWith('.*') ? name.startsWith(pattern.slice(0, -2)) : pattern === name;
}
