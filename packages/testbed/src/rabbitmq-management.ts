import { request } from 'node:http';
import { TestbedError } from './running-broker.ts';

export interface ManagementAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/**
 * One request to RabbitMQ's management plugin, on a connection of its own. Resolves with the JSON, or null without.
 *
 * @throws TestbedError for an answer that says no
 */
export function callManagement(
  { host, port, user, password }: ManagementAddress,
  method: string,
  path: string,
  body: object | undefined,
  timeout: number,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const options = { host, port, method, path, timeout, agent: false, auth: `${user}:${password}` };
    const asked = request({ ...options, headers: { 'content-type': 'application/json' } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.once('error', reject);
      response.once('end', () => {
        const { statusCode = 0 } = response;
        if (statusCode >= 300) reject(new TestbedError(`rabbitmq: ${method} ${path}: HTTP ${statusCode} ${text}`));
        else resolve(text === '' ? null : JSON.parse(text));
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${timeout} ms`)));
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
