import { invalidAttribute, invalidValue } from './sqs-error.ts';

export type QueueAttributes = Readonly<Record<string, string>>;

const defaults: QueueAttributes = {
  VisibilityTimeout: '30',
  DelaySeconds: '0',
  MaximumMessageSize: '1048576',
  MessageRetentionPeriod: '345600',
  ReceiveMessageWaitTimeSeconds: '0',
  SqsManagedSseEnabled: 'true',
};
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  VisibilityTimeout: [0, 43_200],
  DelaySeconds: [0, 900],
  MaximumMessageSize: [1_024, 1_048_576],
  MessageRetentionPeriod: [60, 1_209_600],
  ReceiveMessageWaitTimeSeconds: [0, 20],
};

/** Where a queue's messages go that are received too often. */
export interface RedrivePolicy {
  readonly deadLetterTargetArn: string;
  readonly maxReceiveCount: number;
}

/** What other queues say when they are asked as a target. */
export type FindTarget = (arn: string) => { readonly fifo: boolean; allows(source: string): boolean } | undefined;

/** @throws SqsError */
export function checkQueueName(name: string, fifo: boolean): void {
  if (!/^[A-Za-z0-9_-]{1,80}$/.test(fifo ? name.replace(/\.fifo$/, '') : name) || name.length > 80)
    throw invalidValue(
      'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length, .fifo on FIFO queues',
    );
  if (name.endsWith('.fifo') !== fifo)
    throw invalidValue('The name of a FIFO queue can only include alphanumeric characters and must end with .fifo');
}

/** The attributes of a new queue, or of one that is changed. @throws SqsError */
export function checkedAttributes(
  given: QueueAttributes,
  { own, arn, find }: { readonly own: QueueAttributes | null; readonly arn: string; readonly find: FindTarget },
): QueueAttributes {
  const merged: QueueAttributes = { ...(own ?? defaults), ...given };
  const fifo = merged['FifoQueue'] === 'true';
  for (const [name, [least, most]] of Object.entries(ranges)) {
    const value = Number(merged[name]);
    if (!/^\d+$/.test(merged[name] ?? '') || value < least || value > most)
      throw invalidAttribute(`Invalid value for the parameter ${name}.`);
  }
  if (merged['FifoQueue'] !== undefined && !fifo) throw invalidAttribute('Invalid value for the parameter FifoQueue.');
  if (merged['FifoThroughputLimit'] === 'perMessageGroupId' && merged['DeduplicationScope'] !== 'messageGroup')
    throw invalidAttribute('FifoThroughputLimit perMessageGroupId needs DeduplicationScope messageGroup.');
  const policy = redrivePolicyOf(merged);
  if (policy !== null) {
    const target = find(policy.deadLetterTargetArn);
    if (target === undefined)
      throw invalidValue('Value for parameter RedrivePolicy is invalid: the target is missing.');
    if (target.fifo !== fifo)
      throw invalidValue('Value for parameter RedrivePolicy is invalid: another kind of queue.');
    if (!target.allows(arn)) throw invalidValue('Value for parameter RedrivePolicy is invalid: the target refuses it.');
  }
  return merged;
}

export function redrivePolicyOf(attributes: QueueAttributes): RedrivePolicy | null {
  const text = attributes['RedrivePolicy'];
  if (text === undefined || text === '') return null;
  const { deadLetterTargetArn, maxReceiveCount } = JSON.parse(text) as Record<string, unknown>;
  return { deadLetterTargetArn: String(deadLetterTargetArn), maxReceiveCount: Number(maxReceiveCount) };
}

/** Whether a queue takes the dead letters of another. */
export function allowsRedrive(attributes: QueueAttributes, source: string): boolean {
  const text = attributes['RedriveAllowPolicy'];
  if (text === undefined || text === '') return true;
  const policy = JSON.parse(text) as { redrivePermission?: string; sourceQueueArns?: string[] };
  if (policy.redrivePermission === 'denyAll') return false;
  return policy.redrivePermission !== 'byQueue' || (policy.sourceQueueArns ?? []).includes(source);
}
