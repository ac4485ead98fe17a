import { execFile } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { textOf } from './readiness.ts';
import { TestbedError } from './running-broker.ts';

/** Paths of PEM files, for clients. */
export interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const run = promisify(execFile);
const days = '30';

/**
 * Makes a test CA and, signed by it, `server.crt` and `client.crt` with their keys, and `server.pem` with both, by the `openssl` program: Node can
 * read certificates and can't make them.
 */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const path = (name: string): string => join(folder, name);
  const key = async (name: string): Promise<void> => {
    await openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path(`${name}.key`));
    await chmod(path(`${name}.key`), 0o600);
  };
  await key('ca');
  const authority = [
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  ];
  const subject = ['-subj', '/CN=Waybill test CA'];
  await openssl(
    'req',
    '-x509',
    '-new',
    '-key',
    path('ca.key'),
    '-days',
    days,
    ...subject,
    ...authority,
    '-out',
    path('ca.crt'),
  );
  for (const [name, use] of [
    ['server', 'extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n'],
    ['client', 'extendedKeyUsage=clientAuth\n'],
  ] as const) {
    await key(name);
    await openssl('req', '-new', '-key', path(`${name}.key`), '-subj', `/CN=${name}`, '-out', path(`${name}.csr`));
    await writeFile(path(`${name}.ext`), `basicConstraints=CA:FALSE\n${use}`);
    const signing = ['-CA', path('ca.crt'), '-CAkey', path('ca.key'), '-CAcreateserial', '-days', days];
    const files = ['-in', path(`${name}.csr`), '-extfile', path(`${name}.ext`), '-out', path(`${name}.crt`)];
    await openssl('x509', '-req', ...files, ...signing);
  }
  // In one file, the key in PKCS#8: so Java wants them.
  const { stdout } = await run('openssl', ['pkcs8', '-topk8', '-nocrypt', '-in', path('server.key')]);
  await writeFile(path('server.pem'), `${stdout}${await readFile(path('server.crt'), 'utf8')}`, { mode: 0o600 });
  return { ca: path('ca.crt'), cert: path('client.crt'), key: path('client.key') };
}

async function openssl(...args: string[]): Promise<void> {
  await run('openssl', args).catch((error: unknown) => {
    throw new TestbedError(`TLS needs the openssl program: ${textOf(error)}`);
  });
}
