import { type ConfigPath, type Problem, showPath, showValue, unknownKey, valueAt } from './config-problems.ts';
import { isAdapter, referenceProblems } from './config-references.ts';
import { resolveConfig, resolveTopic } from './config-resolve.ts';
import { configSchema } from './config-schema.ts';
import type { ResolvedConfig, ResolvedTopic, WaybillConfig } from './config-types.ts';
import { WaybillError } from './errors.ts';
import { isSecretName, maskSecrets } from './sanitise.ts';
import { parseBrokerUrl } from './url.ts';

export type * from './config-types.ts';

/** The configuration as it is, with its type checked while it is written. */
export function defineConfig(config: WaybillConfig): WaybillConfig {
  return config;
}

/**
 * Checks a configuration and fills in the defaults.
 *
 * @param where Where it came from, for the error.
 * @param hidden Paths (as `showPath` writes them) whose values came from the environment: never shown.
 * @throws WaybillError `invalid`, listing every problem with its path, the bad value and what is allowed.
 */
export function parseConfig(input: unknown, where: string, hidden: ReadonlySet<string> = new Set()): ResolvedConfig {
  registerSecrets(valueAt(input, ['brokers']), 0);
  const problems = [...schemaProblems(input, hidden), ...referenceProblems(input)];
  if (problems.length > 0) throw new WaybillError('invalid', report(where, problems));
  return resolveConfig(input as WaybillConfig, where);
}

/** A topic's settings; of one that configuration does not name, the defaults. */
export function topicConfigOf(config: ResolvedConfig, topic: string): ResolvedTopic {
  const configured = config.topics[topic];
  if (configured !== undefined) return configured;
  if (config.defaultBroker === null) {
    const names = Object.keys(config.brokers).join(', ');
    throw new WaybillError(
      'invalid',
      `${config.where}: topic '${topic}' has no broker: there are ${names}, and none is called main; say topics.${topic}.broker`,
    );
  }
  return resolveTopic({}, config.defaultBroker);
}

function schemaProblems(input: unknown, hidden: ReadonlySet<string>): Problem[] {
  const issues = configSchema.safeParse(input).error?.issues ?? [];
  return issues.flatMap((issue): Problem[] => {
    const path = issue.path as ConfigPath;
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => unknownKey(path, key, issue.message.split(', ')));
    const shown = showValue(valueAt(input, path), path, hidden.has(showPath(path)));
    return [{ path, text: `is ${shown}; allowed: ${issue.message}` }];
  });
}

function report(where: string, problems: readonly Problem[]): string {
  const lines = problems.map(({ path, text }) => `${showPath(path)} ${text}`);
  if (lines.length === 1) return `${where}: ${lines[0]}`;
  return `${where} has ${lines.length} problems:\n${lines.map((line) => `  - ${line}`).join('\n')}`;
}

/** Whatever goes wrong from here on, in whatever library: these values are masked. */
function registerSecrets(value: unknown, depth: number, name = ''): void {
  if (typeof value === 'string') {
    if (isSecretName(name)) maskSecrets(value);
    try {
      const { password, params } = parseBrokerUrl(value);
      maskSecrets(
        password ?? '',
        ...Object.keys(params)
          .filter(isSecretName)
          .map((key) => params[key] ?? ''),
      );
    } catch {
      // Not a URL, or a wrong one: of those no part is ever shown.
    }
  } else if (typeof value === 'object' && value !== null && depth < 6 && !isAdapter(value)) {
    for (const [key, inner] of Object.entries(value)) registerSecrets(inner, depth + 1, key);
  }
}
