import type { Checker, Finding } from '../finding.ts';
import type { DeliveryView, History } from '../history.ts';
import { deliveriesIn, groupBy, joined, named, type Scope } from './scope.ts';

export interface AttemptsOptions extends Scope {
  /** Every message that never succeeded must have failed exactly this often before its dead letter. */
  readonly expected?: number | ((message: { id: string; key: string | null; seq: number | null }) => number);
  /** `settle.attempts.durable`: attempts go on after a crash. Where not, they may start again at 1. Default true. */
  readonly durable?: boolean;
}

/**
 * R1, R3: attempts of a message in a group are 1, 2, 3 … : one more after each run that failed, the same after anything
 * else, 1 again only after a dead letter (a redrive).
 */
export function attempts(options: AttemptsOptions = {}): Checker {
  return (history) => {
    const messages = groupBy(deliveriesIn(history, options), (run) => joined(run.topic, run.group, run.id));
    const dead = deadLetters(history);
    const over = history.of('detached', 'closed', 'killed', 'revoked', 'lost-partitions', 'assigned');
    const ends = over.map((event) => event.wall);
    const findings: Finding[] = [];
    let examined = 0;
    let most = 0;
    for (const [message, runs] of messages) {
      examined += 1;
      const report = (run: DeliveryView, text: string): void => {
        const { id, key, topic, group } = run;
        findings.push({
          kind: 'attempts',
          allowed: false,
          text: `${group}: ${named(run)} ${text}`,
          id,
          key,
          topic,
          group,
        });
      };
      const deaths = dead.get(message) ?? [];
      for (const [index, run] of runs.entries()) {
        most = Math.max(most, run.attempt);
        const allowed = allowedAfter(runs[index - 1], run, deaths, options.durable === false ? ends : []);
        if (!allowed.includes(run.attempt))
          report(run, `run ${index + 1} has attempt ${run.attempt}; allowed: ${allowed.join(' or ')}`);
      }
      const last = runs.at(-1);
      if (options.expected === undefined || last === undefined || runs.some((run) => run.outcome === 'returned'))
        continue;
      const wanted = typeof options.expected === 'number' ? options.expected : options.expected(last);
      const end = deaths[0] ?? Number.POSITIVE_INFINITY;
      const failed = runs.filter((run) => run.outcome === 'threw' && run.wall <= end).length;
      if (failed !== wanted) report(last, `failed ${failed} times; expected: ${wanted}`);
    }
    return { checker: 'attempts', findings, examined, figures: { attemptsMax: most } };
  };
}

function allowedAfter(
  before: DeliveryView | undefined,
  run: DeliveryView,
  deaths: readonly number[],
  /** When attachments ended or partitions changed hands, where attempts do not outlive that. */
  ends: readonly number[],
): readonly number[] {
  if (before === undefined) return [1];
  if (deaths.some((at) => at > before.wall && at < run.wall)) return [1];
  const next = before.outcome === 'threw' ? before.attempt + 1 : before.attempt;
  const crashed = ends.some((at) => at > before.wall && at < run.wall);
  return crashed && next !== 1 ? [next, 1] : [next];
}

function deadLetters(history: History): Map<string, number[]> {
  const at = new Map<string, number[]>();
  for (const send of history.of('send')) {
    if (send.kind !== 'dead-letter') continue;
    for (const [index, id] of send.ids.entries()) {
      if (send.outcomes[index] !== 'confirmed') continue;
      const message = joined(send.topic, send.group, id);
      at.set(message, [...(at.get(message) ?? []), send.wall]);
    }
  }
  return at;
}
