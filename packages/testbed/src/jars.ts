import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { textOf } from './readiness.ts';
import type { Stock } from './stock.ts';

/** `group:name:version`, as Maven names an artefact. */
type Artefact = `${string}:${string}:${string}`;

/** What a broker in Java is made of. */
export interface Jars {
  /** Name and version of the broker. */
  readonly folder: string;
  readonly artefacts: readonly Artefact[];
  /** Dependencies to do without: `group:name`. */
  readonly without: readonly `${string}:${string}`[];
}

const run = promisify(execFile);
const plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';
const limit = { timeout: 600_000, maxBuffer: 16 * 1024 * 1024 };

/** Jars, and all that they depend on, by Maven as the user has set it up. */
export function jarsOf(jars: Jars): Stock {
  return {
    folder: jars.folder,
    tool: { program: 'mvn', debian: 'maven' },
    fetch: async (into, mvn, env) => {
      const list = join(into, 'pom.xml');
      try {
        await writeFile(list, pomOf(jars));
        const goal = [`${plugin}:copy-dependencies`, '-DincludeScope=runtime', `-DoutputDirectory=${into}`];
        await run(mvn, ['-q', '-B', '-ntp', '-f', list, ...goal], { ...limit, env: { ...env } });
        await rm(list);
        return null;
      } catch (error) {
        const { stdout = '' } = error as { stdout?: string };
        const said = stdout.split('\n').find((line) => line.startsWith('[ERROR]'));
        return `mvn could not fetch ${jars.folder}: ${said ?? textOf(error)}`;
      }
    },
  };
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
