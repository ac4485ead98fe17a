import { loadConfig, type ResolvedBroker, type ResolvedConfig } from '@waybill/core';
import { maskUrl } from '@waybill/core/adapter';
import { BROKER_NAMES } from '@waybill/testbed';
import { type Diagnosis, diagnose, type NeedDiagnosis } from './doctor.ts';
import { escapeLines, escapeText } from './escape-text.ts';
import type { ExitCode } from './exit-code.ts';
import { conclude, type Io, type JsonOption } from './io.ts';
import { columns } from './summary.ts';

export interface DoctorOptions {
  readonly config?: string;
  readonly json?: JsonOption;
}

/** 1 when a need is refused, 3 when a broker does not answer, 0 otherwise. */
export async function runDoctor(options: DoctorOptions, io: Io): Promise<ExitCode> {
  const config = await loadConfig(undefined, {
    cwd: io.cwd,
    env: io.env,
    ...(options.config !== undefined && { file: options.config }),
  });
  const diagnosis = await diagnose(config);
  const shown = effective(config);
  await conclude(io, options.json, { config: shown, ...diagnosis }, render(shown, diagnosis));
  if (diagnosis.places.some((place) => place.refusal !== null)) return 1;
  return diagnosis.brokers.every((broker) => broker.reachable) ? 0 : 3;
}

/** The configuration in force, with secrets masked. */
function effective(config: ResolvedConfig): Record<string, unknown> {
  return {
    ...config,
    brokers: Object.fromEntries(Object.entries(config.brokers).map(([name, broker]) => [name, shownBroker(broker)])),
  };
}

function shownBroker(broker: ResolvedBroker): unknown {
  if (broker.kind === 'instance') return `an adapter made by the program: ${broker.adapter.name}`;
  const { url, options } = broker;
  return Object.keys(options).length === 0 ? maskUrl(url) : { url: maskUrl(url), options: outlined(options, 0) };
}

/** Options belong to a client we don't know: any text of them may be a secret, so only numbers and flags are shown. */
function outlined(value: unknown, depth: number): unknown {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value;
  if (typeof value !== 'object' || depth > 4) return `(${typeof value})`;
  if (Array.isArray(value)) return value.map((inner) => outlined(inner, depth + 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return '(object)';
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, outlined(inner, depth + 1)]));
}

function render(config: Record<string, unknown>, { brokers, places }: Diagnosis): string {
  const lines = [`Configuration from ${escapeText(String(config['where']))}`];
  lines.push(
    ...JSON.stringify(config, null, 2)
      .split('\n')
      .map((line) => `  ${escapeText(line)}`),
    '',
    'Brokers',
  );
  for (const { name, adapter, reachable, facts, error } of brokers) {
    const state = reachable ? '✓ reachable' : '✗ not reachable';
    lines.push(
      `  ${escapeText(name)} (${escapeText(adapter ?? 'no adapter')}): ${state}${error === null ? '' : `: ${escapeText(error)}`}`,
    );
    const own = BROKER_NAMES.find((one) => one === adapter);
    if (!reachable && own !== undefined) lines.push(`    to have one of your own: waybill broker start ${own}`);
    lines.push(
      ...columns(Object.entries(facts ?? {}).map(([key, value]) => [escapeText(key), escapeText(String(value))])),
    );
  }
  lines.push('', 'Needs (what the code adds, such as keys, is not seen here)');
  if (places.length === 0) lines.push('  none: no topic and no subscription is configured');
  for (const { where, broker, needs, refusal } of places) {
    lines.push(
      `  ${escapeText(where)} on ${escapeText(broker)}${needs.length === 0 ? ': ✓ nothing that a broker could refuse' : ''}`,
    );
    lines.push(...needs.map(needLine));
    if (refusal !== null)
      lines.push(
        ...escapeLines(refusal)
          .split('\n')
          .map((line) => `    ${line}`),
      );
  }
  return `${lines.join('\n')}\n`;
}

function needLine({ path, why, by }: NeedDiagnosis): string {
  return `    ${{ native: '✓', emulated: '✓', refused: '✗' }[by]} ${by}: ${escapeText(path)}: ${escapeText(why)}`;
}
