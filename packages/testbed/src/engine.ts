import { existsSync } from 'node:fs';
import { request, type RequestOptions } from 'node:http';
import { textOf } from './readiness.ts';
import type { Environment } from './program.ts';

const defaultSocket = '/var/run/docker.sock';
const timeout = 2_000;

/**
 * Null when a container engine answers at `DOCKER_HOST` or the default socket; else why not. A `docker` program on the
 * PATH proves nothing.
 */
export async function whyNoEngine(env: Environment): Promise<string | null> {
  const given = env['DOCKER_HOST'] ?? '';
  const where = given === '' ? `unix://${defaultSocket}` : given;
  if (given === '' && !existsSync(defaultSocket))
    return `no container engine: DOCKER_HOST is not set, and there is no ${defaultSocket}`;
  const to = addressOf(where);
  // With TLS, or through ssh, only its own client can say; testcontainers is that.
  if (to === null || env['DOCKER_TLS_VERIFY'] === '1') return null;
  const problem = await ping(to);
  return problem === null ? null : `no container engine answers at ${where}: ${problem}`;
}

function addressOf(where: string): RequestOptions | null {
  if (where.startsWith('unix://')) return { socketPath: where.slice('unix://'.length) };
  const [, host, port] = /^(?:tcp|http):\/\/\[?([^\]/]+?)\]?(?::(\d+))?\/?$/.exec(where) ?? [];
  return host === undefined ? null : { host, port: port ?? '2375' };
}

/** Null, or what is wrong. */
function ping(to: RequestOptions): Promise<string | null> {
  return new Promise((resolve) => {
    const asked = request({ ...to, path: '/_ping', timeout, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? null : `HTTP ${response.statusCode}`);
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${timeout} ms`)));
    asked.on('error', (error) => resolve(textOf(error)));
    asked.end();
  });
}
