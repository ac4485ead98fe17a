import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from './cache-folder.ts';
import { withLock } from './lock-file.ts';
import type { Environment } from './program.ts';
import { textOf } from './readiness.ts';

/** `group:name:version`, as Maven names an artefact. */
type Artefact = `${string}:${string}:${string}`;

/** What a broker in Java is made of. */
export interface Jars {
  /** Of the folder in the cache: name and version of the broker. */
  readonly folder: string;
  readonly artefacts: readonly Artefact[];
  /** Dependencies to do without: `group:name`. */
  readonly without: readonly `${string}:${string}`[];
}

const run = promisify(execFile);
const plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';
const limit = { timeout: 600_000, maxBuffer: 16 * 1024 * 1024 };

/** Where they are when they have been fetched. */
export function jarsFolder({ folder }: Jars, env: Environment): string {
  return join(cacheFolder(env), folder);
}

/** Whether they have been fetched: the folder gets its name when it is complete. */
export function hasJars(jars: Jars, env: Environment): boolean {
  return existsSync(jarsFolder(jars, env));
}

/**
 * Fetches them by Maven, as the user has set it up, with all that they depend on. Null when they are there, else why
 * not. It asks nobody: call it only when the user has.
 */
export async function fetchJars(jars: Jars, mvn: string, env: Environment): Promise<string | null> {
  const folder = jarsFolder(jars, env);
  return withLock(`${folder}.lock`, async () => {
    if (hasJars(jars, env)) return null; // another process has fetched them meanwhile
    await mkdir(cacheFolder(env), { recursive: true });
    const work = await mkdtemp(`${folder}.`);
    try {
      await writeFile(join(work, 'pom.xml'), pomOf(jars));
      const goal = [`${plugin}:copy-dependencies`, '-DincludeScope=runtime', `-DoutputDirectory=${join(work, 'lib')}`];
      await run(mvn, ['-q', '-B', '-ntp', '-f', join(work, 'pom.xml'), ...goal], { ...limit, env: { ...env } });
      await rename(join(work, 'lib'), folder);
      return null;
    } catch (error) {
      const { stdout = '' } = error as { stdout?: string };
      const said = stdout.split('\n').find((line) => line.startsWith('[ERROR]'));
      return `mvn could not fetch ${jars.folder}: ${said ?? textOf(error)}`;
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
}

/** A list of what to fetch, in Maven's form. */
function pomOf({ artefacts, without }: Jars): string {
  const coordinates = (text: string): string => {
    const [group, name, version] = text.split(':');
    const of = version === undefined ? '' : `<version>${version}</version>`;
    return `<groupId>${group}</groupId><artifactId>${name}</artifactId>${of}`;
  };
  const exclusions = without.map((one) => `<exclusion>${coordinates(one)}</exclusion>`).join('');
  const dependencies = artefacts.map(
    (one) => `<dependency>${coordinates(one)}<exclusions>${exclusions}</exclusions></dependency>`,
  );
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
${coordinates('waybill:testbed:1')}<packaging>pom</packaging>
<dependencies>
${dependencies.join('\n')}
</dependencies>
</project>
`;
}
