import { join } from 'node:path';
import { installCommand, installDebian } from './debian.ts';
import { withLock } from './lock-file.ts';
import { variable } from './not-run.ts';
import { type Environment, findProgram } from './program.ts';
import type { Recipe } from './recipe.ts';
import type { StartOptions } from './running-broker.ts';
import { cacheFolder, fetchStock, hasStock, type Stock, stockFolder } from './stock.ts';

/** A program that a broker needs, and the Debian package that brings it. */
export interface Tool {
  /** Looked for on the PATH, unless it is a whole path. */
  readonly program: string;
  readonly debian: string;
}

export const java: Tool = { program: 'java', debian: 'default-jre-headless' };

/** What there is to start a process with. */
export interface Kit {
  /** The recipe's first tool. */
  readonly program: string;
  /** The folder of its stock; empty for a broker without. */
  readonly stock: string;
}

type AnyRecipe<Options extends StartOptions> = Pick<Recipe<Options, object>, 'name' | 'tools' | 'stock'>;

/**
 * What a process of this broker needs; installed first with WAYBILL_INSTALL=1, or where `install` says so. Else why it
 * is not there.
 */
export async function findKit<O extends StartOptions>(
  recipe: AnyRecipe<O>,
  options: O,
  env: Environment,
  install: boolean = env['WAYBILL_INSTALL'] === '1',
): Promise<Kit | string> {
  const tools = recipe.tools(options);
  const [first, ...others] = tools;
  const given = env[variable(recipe.name, 'PROGRAM')];
  const program = given ?? first?.program ?? '';
  const stock = recipe.stock?.(options) ?? null;
  if (given !== undefined && findProgram(given, env) === null) return `there is no program ${given}`;
  const missing = missingTools(given === undefined ? tools : others, stock, env);
  if (missing.length > 0) {
    const refused = install ? await installTools(missing, env) : absence(missing);
    if (refused !== null) return refused;
  }
  if (stock !== null && !hasStock(stock, env)) {
    const tool = findProgram(stock.tool.program, env) ?? '';
    const refused = install ? await fetchStock(stock, tool, env) : `${stock.folder} was not fetched yet`;
    if (refused !== null) return refused;
  }
  return { program: findProgram(program, env) ?? program, stock: stock === null ? '' : stockFolder(stock, env) };
}

/** What to do for it, in one line. */
export function kitRemedy<O extends StartOptions>(recipe: AnyRecipe<O>, options: O, env: Environment): string {
  const stock = recipe.stock?.(options) ?? null;
  const missing = missingTools(recipe.tools(options), stock, env);
  // Nothing is missing where a program of the user's own did not start.
  const packages = packagesOf(missing.length === 0 && stock === null ? recipe.tools(options) : missing);
  const fetched = stock === null || hasStock(stock, env);
  if (packages.length === 0 && fetched) return 'look at its last lines';
  const command = fetched ? installCommand(packages) : `waybill broker install ${recipe.name}`;
  if (env['WAYBILL_INSTALL'] === '1') return `type: ${command}`;
  const parts = packages.length === 0 ? [] : [`${packages.join(', ')} installed (as root)`];
  if (!fetched) parts.push(`${stock.folder} fetched by ${stock.tool.program}`);
  return `set WAYBILL_INSTALL=1 to have ${parts.join(' and ')}, or type: ${command}`;
}

/** One after the other: Debian's own lock does not cover all that `installDebian` does. */
function installTools(tools: readonly Tool[], env: Environment): Promise<string | null> {
  return withLock(join(cacheFolder(env), 'install.lock'), async () => {
    const missing = notFound(tools, env); // another process may have installed them meanwhile
    if (missing.length === 0) return null;
    const refused = await installDebian(packagesOf(missing), { env });
    if (refused !== null) return refused;
    const still = notFound(missing, env);
    return still.length === 0 ? null : `${packagesOf(still).join(', ')} was installed, and ${absence(still)}`;
  });
}

function missingTools(tools: readonly Tool[], stock: Stock | null, env: Environment): readonly Tool[] {
  const needed = stock === null || hasStock(stock, env) ? tools : [...tools, stock.tool];
  return notFound(needed, env);
}

function notFound(tools: readonly Tool[], env: Environment): readonly Tool[] {
  return tools.filter(({ program }) => findProgram(program, env) === null);
}

function packagesOf(tools: readonly Tool[]): readonly string[] {
  return [...new Set(tools.map(({ debian }) => debian))];
}

function absence(tools: readonly Tool[]): string {
  const named = tools.map(({ program }) => (program.startsWith('/') ? program : `${program} on the PATH`));
  return `there is no ${named.join(' and no ')}`;
}
