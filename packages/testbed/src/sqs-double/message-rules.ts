import { createHash } from 'node:crypto';
import { invalidValue, missing, SqsError } from './sqs-error.ts';

/** A message attribute, as the protocol has it: binary values are base64. */
interface MessageAttribute {
  readonly DataType?: string;
  readonly StringValue?: string;
  readonly BinaryValue?: string;
}

export type MessageAttributes = Readonly<Record<string, MessageAttribute>>;

/** What a send says, of one message. */
export interface SendInput {
  readonly MessageBody?: string;
  readonly MessageAttributes?: MessageAttributes;
  readonly MessageSystemAttributes?: MessageAttributes;
  readonly DelaySeconds?: number;
  readonly MessageGroupId?: string;
  readonly MessageDeduplicationId?: string;
}

/** What of a queue decides whether a send is legal. */
export interface SendRules {
  readonly fifo: boolean;
  readonly mostBytes: number;
  readonly contentDedup: boolean;
}

const illegal = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;
const legalId = /^[\x21-\x7e]{1,128}$/;
const legalName = /^(?!(?:aws|amazon)\.)(?!\.)(?!.*\.\.)(?!.*\.$)[A-Za-z0-9_.-]{1,256}$/i;
const legalType = /^(?:String|Number|Binary)(?:\..+)?$/;

/** The bytes that count: UTF-8 of the body, and names, types and values of attributes. */
export function sizeOf({ MessageBody = '', MessageAttributes = {} }: SendInput): number {
  let bytes = Buffer.byteLength(MessageBody);
  for (const [name, value] of Object.entries(MessageAttributes))
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value.DataType ?? '') + valueBytes(value).byteLength;
  return bytes;
}

/** In the order in which SQS checks. @throws SqsError */
export function checkSend(input: SendInput, { fifo, mostBytes, contentDedup }: SendRules): void {
  const { MessageBody: body = '', MessageAttributes: attributes = {}, DelaySeconds: delay } = input;
  const { MessageGroupId: group, MessageDeduplicationId: dedupId } = input;
  if (body === '') throw missing('MessageBody');
  const texts = [body, ...Object.values(attributes).map(({ StringValue = '' }) => StringValue)];
  if (texts.some((text) => illegal.test(text) || !text.isWellFormed()))
    throw new SqsError('InvalidMessageContents', 'Invalid characters found.');
  if (sizeOf(input) > mostBytes)
    throw invalidValue(`One or more parameters are invalid. Reason: Message must be shorter than ${mostBytes} bytes.`);
  if (Object.keys(attributes).length > 10)
    throw invalidValue('Number of message attributes exceeds the allowed maximum [10].');
  for (const [name, { DataType: type = '', StringValue, BinaryValue }] of Object.entries(attributes)) {
    if (!legalName.test(name)) throw invalidValue(`Can not use message attribute name '${name}'.`);
    if (!legalType.test(type)) throw invalidValue(`The type of message attribute '${name}' is invalid.`);
    if ((type.startsWith('Binary') ? BinaryValue : StringValue) === undefined || valueIsEmpty(attributes[name]))
      throw invalidValue(`Message attribute '${name}' must contain a non-empty value of type '${type}'.`);
  }
  if (delay !== undefined && !(Number.isInteger(delay) && delay >= 0 && delay <= 900))
    throw invalidValue(`Value ${delay} for parameter DelaySeconds is invalid. Reason: must be between 0 and 900.`);
  if (fifo && delay !== undefined && delay !== 0)
    throw invalidValue(`Value ${delay} for parameter DelaySeconds is invalid. Reason: not valid for this queue type.`);
  if (group !== undefined && !legalId.test(group)) throw invalidValue('MessageGroupId is invalid.');
  if (dedupId !== undefined && !legalId.test(dedupId)) throw invalidValue('MessageDeduplicationId is invalid.');
  if (!fifo && dedupId !== undefined)
    throw invalidValue('The request includes a parameter that is not valid for this queue type.');
  if (fifo && group === undefined) throw missing('MessageGroupId');
  if (fifo && dedupId === undefined && !contentDedup)
    throw invalidValue(
      'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
    );
}

function valueBytes({ StringValue, BinaryValue }: MessageAttribute): Buffer {
  return BinaryValue === undefined ? Buffer.from(StringValue ?? '') : Buffer.from(BinaryValue, 'base64');
}

function valueIsEmpty(value: MessageAttribute | undefined): boolean {
  return value === undefined || valueBytes(value).byteLength === 0;
}

export const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

/** The checksum over attributes by name: lengths in four bytes, then name, type, a mark of the kind, and value. */
export function md5OfAttributes(attributes: MessageAttributes): string | undefined {
  const names = Object.keys(attributes).toSorted((a, b) => (a < b ? -1 : 1));
  if (names.length === 0) return undefined;
  const hash = createHash('md5');
  const add = (bytes: Buffer): void => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.byteLength);
    hash.update(length).update(bytes);
  };
  for (const name of names) {
    const value = attributes[name] as MessageAttribute;
    add(Buffer.from(name));
    add(Buffer.from(value.DataType ?? ''));
    hash.update(Buffer.from([value.BinaryValue === undefined ? 1 : 2]));
    add(valueBytes(value));
  }
  return hash.digest('hex');
}
