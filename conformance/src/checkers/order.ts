import type { Checker, Finding } from '../finding.ts';
import type { DeliveryView, History } from '../history.ts';
import { deliveriesIn, endOf, groupBy, joined, named, publishesIn, type Scope } from './scope.ts';

export interface ReorderedOptions extends Scope {
  /** A message must be done (returned, or dead-lettered) before its key-mate starts (O2). Default true. */
  readonly hold?: boolean;
  /** The mode does not promise order: findings are only reported. */
  readonly allowed?: boolean;
}

/**
 * Per topic, group, key and publisher: first deliveries must follow the order of the `publish` calls. Three findings:
 * the later one came first (`reordered`), a confirmed one was passed over and never came (`skipped`), and a key-mate
 * started before the earlier one was done (`overtaken`).
 */
export function reordered(options: ReorderedOptions = {}): Checker {
  return (history) => {
    const sent = publishesIn(history, options).filter((publish) => publish.key !== null);
    const ranks = new Map<string, Map<string, { rank: number; confirmed: boolean; text: string }>>();
    for (const publish of sent) {
      const lane = joined(publish.topic, publish.key, publish.process, publish.bus);
      const ids = ranks.get(lane) ?? new Map<string, { rank: number; confirmed: boolean; text: string }>();
      ranks.set(lane, ids);
      const known = ids.get(publish.id);
      const confirmed = publish.outcome === 'confirmed' || known?.confirmed === true;
      ids.set(publish.id, { rank: known?.rank ?? ids.size, confirmed, text: named(publish) });
    }
    const deadAt = deadLettered(history);
    const findings: Finding[] = [];
    let examined = 0;
    const runs = groupBy(deliveriesIn(history, options), (run) => joined(run.topic, run.key));
    for (const [lane, ids] of ranks) {
      const [topic, key] = JSON.parse(lane) as [string, string];
      const ofKey = (runs.get(joined(topic, key)) ?? []).filter((run) => ids.has(run.id));
      for (const [group, list] of groupBy(ofKey, (run) => run.group)) {
        const first = firstRuns(list);
        examined += Math.max(0, first.length - 1);
        const report = (kind: string, run: DeliveryView, why: string): void => {
          const text = `${group}: ${named(run)} ${why}`;
          findings.push({ kind, allowed: options.allowed === true, text, id: run.id, key, topic, group });
        };
        compareRanks(first, ids, report);
        if (options.hold !== false) compareEnds(first, list, ids, deadAt, report);
      }
    }
    return { checker: 'reordered', findings, examined, figures: { reordered: findings.length } };
  };
}

type Report = (kind: string, run: DeliveryView, why: string) => void;
type Ranks = ReadonlyMap<string, { readonly rank: number; readonly confirmed: boolean; readonly text: string }>;

function firstRuns(list: readonly DeliveryView[]): DeliveryView[] {
  const seen = new Set<string>();
  return list.filter((run) => !seen.has(run.id) && seen.add(run.id));
}

function compareRanks(first: readonly DeliveryView[], ids: Ranks, report: Report): void {
  let highest = -1;
  let lowest = Number.POSITIVE_INFINITY;
  const came = new Set<number>();
  for (const run of first) {
    const rank = ids.get(run.id)?.rank ?? 0;
    if (rank < highest) report('reordered', run, `came after a later one of its key`);
    highest = Math.max(highest, rank);
    lowest = Math.min(lowest, rank);
    came.add(rank);
  }
  const behind = first.find((run) => ids.get(run.id)?.rank === highest);
  if (behind === undefined) return;
  for (const message of ids.values()) {
    const passed = message.confirmed && message.rank > lowest && message.rank < highest && !came.has(message.rank);
    if (passed) report('skipped', behind, `was delivered past ${message.text}, which never came`);
  }
}

/** When a message was done: its first run that returned, or its dead letter, whichever came first; never, without. */
function doneAt(runs: readonly DeliveryView[], dead: number | undefined): number {
  const returned = runs.find((run) => run.outcome === 'returned');
  return Math.min(
    returned === undefined ? Number.POSITIVE_INFINITY : endOf(returned),
    dead ?? Number.POSITIVE_INFINITY,
  );
}

function compareEnds(
  first: readonly DeliveryView[],
  all: readonly DeliveryView[],
  ids: Ranks,
  deadAt: ReadonlyMap<string, number>,
  report: Report,
): void {
  const runs = groupBy(all, (run) => run.id);
  const ordered = first.toSorted((a, b) => (ids.get(a.id)?.rank ?? 0) - (ids.get(b.id)?.rank ?? 0));
  for (const [index, run] of ordered.entries()) {
    const before = ordered[index - 1];
    if (before === undefined || before.wall > run.wall) continue; // the latter is `reordered`
    if (before.batch !== null && before.batch === run.batch && before.consumer === run.consumer) continue;
    const done = doneAt(runs.get(before.id) ?? [], deadAt.get(joined(run.topic, run.group, before.id)));
    if (done > run.wall) report('overtaken', run, `started before ${named(before)} was done`);
  }
}

/** When each message's dead letter was first confirmed, per topic and group. */
function deadLettered(history: History): Map<string, number> {
  const at = new Map<string, number>();
  for (const send of history.of('send')) {
    if (send.kind !== 'dead-letter') continue;
    for (const [index, id] of send.ids.entries()) {
      const key = joined(send.topic, send.group, id);
      if (send.outcomes[index] === 'confirmed' && !at.has(key)) at.set(key, send.wall);
    }
  }
  return at;
}

export interface OverlappedOptions extends Scope {
  /**
   * `order.handover.forced`, scaled: after a forced hand-over one old handler of a key may run on for so long beside
   * the new one. Left out: no hand-over was forced, so nothing may overlap.
   */
  readonly forced?: number | null;
}

/** Two handlers of one key at once, in one process or several; for messages without a key: of one message. */
export function overlapped(options: OverlappedOptions = {}): Checker {
  return (history) => {
    const runs = deliveriesIn(history, options);
    const findings: Finding[] = [];
    let examined = 0;
    let longest = 0;
    const lanes = groupBy(runs, (run) =>
      run.key === null ? joined(run.topic, run.group, 'id', run.id) : joined(run.topic, run.group, 'key', run.key),
    );
    for (const lane of lanes.values()) {
      examined += lane.length;
      let running: DeliveryView[] = [];
      for (const run of lane) {
        running = running.filter((other) => endOf(other) > run.wall);
        const others = running.filter(
          (other) => other.batch === null || other.batch !== run.batch || other.consumer !== run.consumer,
        );
        for (const other of others) {
          const ms = Math.min(endOf(other), endOf(run)) - run.wall;
          longest = Math.max(longest, Number.isFinite(ms) ? ms : 0);
          const old = other.consumer !== run.consumer && others.length === 1;
          const allowed = options.forced !== undefined && old && (options.forced === null || ms <= options.forced);
          findings.push({
            kind: 'overlapped',
            allowed,
            text: `${run.group}: ${named(run)} started at ${run.consumer} while ${named(other)} ran at ${other.consumer}, together for ${Number.isFinite(ms) ? ms.toFixed(1) : '∞'} ms`,
            id: run.id,
            key: run.key,
            topic: run.topic,
            group: run.group,
          });
        }
        running.push(run);
      }
    }
    return {
      checker: 'overlapped',
      findings,
      examined,
      figures: { overlapped: findings.length, longestOverlap: longest },
    };
  };
}
