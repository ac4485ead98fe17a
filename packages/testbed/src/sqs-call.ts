import { request } from 'node:http';
import { request as requestTls } from 'node:https';
import type { Place } from './recipe.ts';

/** An answer that says no, in the words of SQS. */
export class SqsError extends Error {
  override readonly name: string = 'SqsError';
}

export interface SqsEndpoint {
  readonly place: Place;
  readonly tls: boolean;
}

/** One request in the JSON protocol, on a connection of its own. */
export function callSqs(
  to: SqsEndpoint,
  operation: string,
  input: object,
  timeout: number,
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${operation}` };
    const options = { ...to.place, method: 'POST', path: '/', headers, timeout, agent: false };
    const asked = (to.tls ? requestTls : request)(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.once('error', reject);
      response.once('end', () => {
        const answer = read(text);
        if (answer === null) reject(new Error('it answers, but not as SQS does'));
        else if (response.statusCode === 200) resolve(answer);
        else reject(new SqsError(`${operation}: ${text}`));
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${timeout} ms`)));
    asked.on('error', reject);
    asked.end(JSON.stringify(input));
  });
}

/** The answer to a call, or an error of AWS; null for anything else. */
function read(text: string): Record<string, unknown> | null {
  if (text === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
