import { type Message, SQS } from '@aws-sdk/client-sqs';
import { SqsDouble, type SqsDoubleOptions } from '@waybill/testbed';

/** A double and the SDK's own client on it: what it says must be what the SDK takes for SQS. */
export class Bench implements AsyncDisposable {
  readonly double: SqsDouble;
  readonly sqs: SQS;

  private constructor(double: SqsDouble) {
    this.double = double;
    this.sqs = clientOf(double.endpoint);
  }

  static async open(options: SqsDoubleOptions = {}): Promise<Bench> {
    return new Bench(await SqsDouble.start({ shuffles: false, ...options }));
  }

  async create(name: string, attributes: Record<string, string> = {}): Promise<string> {
    const fifo = name.endsWith('.fifo') ? { FifoQueue: 'true' } : {};
    const { QueueUrl } = await this.sqs.createQueue({ QueueName: name, Attributes: { ...fifo, ...attributes } });
    return QueueUrl ?? '';
  }

  /** Bodies are `group` and a number: `a1`, `b2`. On FIFO the letter is the group, and the body the deduplication id. */
  async send(url: string, ...bodies: string[]): Promise<void> {
    for (const body of bodies)
      await this.sqs.sendMessage({
        QueueUrl: url,
        MessageBody: body,
        ...(url.endsWith('.fifo') && { MessageGroupId: body.slice(0, 1), MessageDeduplicationId: body }),
      });
  }

  async receive(
    url: string,
    max = 10,
    options: { visibility?: number; wait?: number; attempt?: string } = {},
  ): Promise<Message[]> {
    const { visibility, wait = 0, attempt } = options;
    const { Messages } = await this.sqs.receiveMessage({
      QueueUrl: url,
      MaxNumberOfMessages: max,
      WaitTimeSeconds: wait,
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
      ...(visibility !== undefined && { VisibilityTimeout: visibility }),
      ...(attempt !== undefined && { ReceiveRequestAttemptId: attempt }),
    });
    return Messages ?? [];
  }

  /** The bodies that a receive gives. */
  async bodies(url: string, max = 10, options: { visibility?: number; wait?: number } = {}): Promise<string> {
    return (await this.receive(url, max, options)).map(({ Body }) => Body).join(' ');
  }

  async change(url: string, message: Message | undefined, seconds: number): Promise<void> {
    await this.sqs.changeMessageVisibility({
      QueueUrl: url,
      ReceiptHandle: message?.ReceiptHandle,
      VisibilityTimeout: seconds,
    });
  }

  async delete(url: string, message: Message | undefined): Promise<void> {
    await this.sqs.deleteMessage({ QueueUrl: url, ReceiptHandle: message?.ReceiptHandle });
  }

  /** Visible, in flight, delayed. */
  async counts(url: string): Promise<string> {
    const { Attributes = {} } = await this.sqs.getQueueAttributes({ QueueUrl: url, AttributeNames: ['All'] });
    return ['', 'NotVisible', 'Delayed']
      .map((one) => Attributes[`ApproximateNumberOfMessages${one}` as 'All'])
      .join(' ');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.sqs.destroy();
    await this.double[Symbol.asyncDispose]();
  }
}

function clientOf(endpoint: string): SQS {
  return new SQS({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    useQueueUrlAsEndpoint: false,
    maxAttempts: 1,
  });
}

/** The name of the error that a call ends with. */
export async function errorOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    return (error as Error).name;
  }
  return 'none';
}
