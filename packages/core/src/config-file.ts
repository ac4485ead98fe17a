import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Document } from 'yaml';
import { type ConfigPath, type Problem, showPath } from './config-problems.ts';
import { parseConfig } from './config.ts';
import type { ResolvedConfig, WaybillConfig } from './config-types.ts';
import { WaybillError } from './errors.ts';

/** The files looked for, in the working directory and nowhere else. */
const CONFIG_FILES: readonly string[] = ['ts', 'mjs', 'js', 'json', 'yaml', 'yml'].map(
  (type) => `waybill.config.${type}`,
);

/** Environment variables as text by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadConfigOptions {
  /** A configuration file, instead of looking for one. */
  readonly file?: string;
  /** Default: the working directory. */
  readonly cwd?: string;
  /** Default: the process's environment. */
  readonly env?: Environment;
}

/**
 * The configuration to use, checked: the one given, else the file, else the broker at WAYBILL_URL.
 *
 * @param given A broker's URL or a configuration.
 * @throws WaybillError `invalid`, or `not-found` where there is none of the three.
 */
export async function loadConfig(
  given?: string | WaybillConfig,
  options: LoadConfigOptions = {},
): Promise<ResolvedConfig> {
  if (typeof given === 'string') return parseConfig({ brokers: { main: given } }, 'connect()');
  if (given !== undefined) return parseConfig(given, 'connect()');
  const { cwd = process.cwd(), env = process.env } = options;
  const file = options.file === undefined ? findConfigFile(cwd) : resolve(cwd, options.file);
  if (file !== null) return readConfigFile(file, env);
  const url = env['WAYBILL_URL'];
  if (url !== undefined && url !== '') return parseConfig({ brokers: { main: url } }, 'WAYBILL_URL');
  throw new WaybillError(
    'not-found',
    [
      'no configuration. Name a broker in one of three ways:',
      "  - in the code: connect('redis://localhost:6379'), or connect({ brokers: { main: … } })",
      `  - in a file of the working directory: waybill.config.ts (or ${CONFIG_FILES.slice(1).map(extname).join(', ')})`,
      '  - in the environment: WAYBILL_URL=redis://localhost:6379',
    ].join('\n'),
  );
}

/** The one configuration file of a folder, or null. @throws WaybillError `invalid` where there are several. */
export function findConfigFile(folder: string): string | null {
  const found = CONFIG_FILES.filter((name) => existsSync(join(folder, name)));
  if (found.length > 1)
    throw new WaybillError('invalid', `there is more than one configuration: ${found.join(' and ')}; keep one`);
  return found[0] === undefined ? null : join(folder, found[0]);
}

/** Reads and checks one file. @throws WaybillError `invalid`, or `not-found` where it is not there. */
export async function readConfigFile(file: string, env: Environment): Promise<ResolvedConfig> {
  const where = basename(file);
  if (!existsSync(file)) throw new WaybillError('not-found', `configuration file ${where} does not exist`);
  switch (extname(file)) {
    case '.ts':
    case '.mjs':
    case '.js':
      return parseConfig(await imported(file, where), where);
    case '.json':
    case '.yaml':
    case '.yml': {
      const text = await readFile(file, 'utf8');
      const data = extname(file) === '.json' ? await parseJson(text, where) : await parseYaml(text, where);
      const { value, hidden } = substitute(data, where, env);
      return parseConfig(value, where, hidden);
    }
    default:
      throw new WaybillError(
        'invalid',
        `configuration file ${where} is of no known type; allowed: .ts, .mjs, .js, .json, .yaml, .yml`,
      );
  }
}

async function imported(file: string, where: string): Promise<unknown> {
  let module: { default?: unknown };
  try {
    if (extname(file) === '.ts') {
      const { createJiti } = await import('jiti');
      module = await createJiti(pathToFileURL(file).href, { fsCache: false }).import(file);
    } else {
      module = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as { default?: unknown };
    }
  } catch (error) {
    if (WaybillError.is(error)) throw error;
    throw new WaybillError('invalid', `${where} can't be loaded: ${firstLine(error)}`, { cause: error });
  }
  if (module.default === undefined) {
    throw new WaybillError(
      'invalid',
      `${where} has no default export; write: export default defineConfig({ brokers: { … } })`,
    );
  }
  return module.default;
}

/** Their errors quote the text around the mistake, which may be a password; so only places and kinds are told. */
async function parseJson(text: string, where: string): Promise<unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
    const line = position === undefined ? '' : ` in line ${text.slice(0, Number(position)).split('\n').length}`;
    throw new WaybillError('invalid', `${where} is not JSON: there is a mistake${line}`);
  }
  await refuseYamlErrors(text, where, (code) => code === 'DUPLICATE_KEY'); // which JSON.parse lets pass
  return value;
}

async function parseYaml(text: string, where: string): Promise<unknown> {
  const document = await refuseYamlErrors(text, where, () => true);
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    throw new WaybillError(
      'invalid',
      `${where} is refused: it has an unknown alias, or aliases that unfold to too much (100 at most)`,
    );
  }
}

async function refuseYamlErrors(
  text: string,
  where: string,
  counts: (code: string) => boolean,
): Promise<Document.Parsed> {
  const { LineCounter, parseDocument } = await import('yaml');
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    schema: 'core',
    version: '1.2',
    uniqueKeys: true,
    prettyErrors: false,
    merge: false,
    lineCounter,
    logLevel: 'silent',
  });
  const errors = document.errors.filter((error) => counts(error.code));
  if (errors.length === 0) return document;
  const lines = errors.map((error) => {
    const what = error.code === 'DUPLICATE_KEY' ? 'a key given twice' : error.code.toLowerCase().replaceAll('_', ' ');
    return `line ${lineCounter.linePos(error.pos[0]).line}: ${what}`;
  });
  throw new WaybillError('invalid', `${where} has mistakes: ${lines.join('; ')}`);
}

const reference = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;

/**
 * `${NAME}` and `${NAME:-default}` inside texts, after parsing, so that a value can't change the structure. Keys are left
 * alone. `hidden` are the paths whose value came from the environment.
 */
export function substitute(
  data: unknown,
  where: string,
  env: Environment,
): { value: unknown; hidden: ReadonlySet<string> } {
  const problems: Problem[] = [];
  const hidden = new Set<string>();
  const text = (given: string, path: ConfigPath): string => {
    if (!given.includes('${')) return given;
    if (given.replaceAll(reference, '').includes('${')) {
      problems.push({ path, text: 'has a ${ that begins no ${NAME} or ${NAME:-default}' });
    }
    hidden.add(showPath(path));
    return given.replaceAll(reference, (_, name: string, fallback: string | undefined) => {
      const value = Object.hasOwn(env, name) ? env[name] : undefined;
      if (value !== undefined && (value !== '' || fallback === undefined)) return value;
      if (fallback !== undefined) return fallback;
      problems.push({
        path,
        text: `needs the environment variable ${name}, which is not set; set it, or write \${${name}:-default}`,
      });
      return '';
    });
  };
  const walk = (value: unknown, path: ConfigPath): unknown => {
    if (typeof value === 'string') return text(value, path);
    if (Array.isArray(value)) return value.map((inner, index) => walk(inner, [...path, index]));
    if (typeof value !== 'object' || value === null) return value;
    const copy: Record<string, unknown> = {};
    for (const [key, inner] of Object.entries(value)) {
      Object.defineProperty(copy, key, {
        value: walk(inner, [...path, key]),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    }
    return copy;
  };
  const value = walk(data, []);
  if (problems.length === 0) return { value, hidden };
  throw new WaybillError(
    'invalid',
    problems.map((problem) => `${where}: ${showPath(problem.path)} ${problem.text}`).join('\n'),
  );
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
