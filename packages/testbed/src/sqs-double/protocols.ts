import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Input, Output } from './batch.ts';
import { readQuery, writeError, writeQuery } from './sns-query.ts';
import type { SqsError } from './sqs-error.ts';

/** How answers are written. */
interface Protocol {
  answer(response: ServerResponse, output: Output): void;
  refuse(response: ServerResponse, error: SqsError): void;
}

export interface Call {
  readonly operation: string;
  readonly input: Input;
  readonly onSns: boolean;
  readonly protocol: Protocol;
}

/** A call to SQS names its operation in a header, one to SNS in its form. */
export function readCall({ headers }: IncomingMessage, body: string): Call {
  const target = headers['x-amz-target'];
  if (target !== undefined) {
    const input = (body === '' ? {} : JSON.parse(body)) as Input;
    return { operation: String(target).split('.').at(-1) ?? '', input, onSns: false, protocol: json };
  }
  const { Action = '', Version: _, ...input } = readQuery(body);
  const operation = Action as string;
  return { operation, input, onSns: true, protocol: query(operation) };
}

const json: Protocol = {
  answer: (response, output) => end(response, 200, JSON.stringify(output), jsonType),
  refuse: (response, { status, type, message, code }) => {
    const whose = status >= 500 ? 'Receiver' : 'Sender';
    const output = { __type: `com.amazonaws.sqs#${type}`, message };
    end(response, status, JSON.stringify(output), { ...jsonType, 'x-amzn-query-error': `${code};${whose}` });
  },
};
const jsonType = { 'content-type': 'application/x-amz-json-1.0' };

const query = (operation: string): Protocol => ({
  answer: (response, output) => end(response, 200, writeQuery(operation, output), xmlType),
  refuse: (response, error) => end(response, error.status, writeError(error), xmlType),
});
const xmlType = { 'content-type': 'text/xml' };

function end(response: ServerResponse, status: number, body: string, headers: Readonly<Record<string, string>>): void {
  const size = { 'content-length': Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, ...size, 'x-amzn-requestid': randomUUID() }).end(body);
}
