import type { History } from './history.ts';
import type { Observed } from './observed.ts';

/** What a verdict rests on, as numbers: the history's counts, the checkers' figures, the case's own measures. */
export function evidenceOf(history: History, observed: Observed): Record<string, number> {
  const { publishes, deliveries, arrivals } = history;
  const ended = (outcome: string): number => publishes.filter((publish) => publish.outcome === outcome).length;
  const evidence: Record<string, number> = {
    published: publishes.length,
    confirmed: ended('confirmed'),
    rejected: ended('rejected'),
    unknown: ended('unknown'),
    dropped: ended('dropped'),
    arrived: arrivals.length,
    delivered: deliveries.length,
    settled: arrivals.filter((arrival) => arrival.ackedWall !== null).length,
    asserted: observed.asserted,
  };
  for (const { results } of observed.judgements) {
    for (const { checker, examined, figures } of results) {
      evidence[`${checker}Examined`] = examined;
      for (const [name, value] of Object.entries(figures ?? {})) evidence[name] = value;
    }
  }
  return { ...evidence, ...observed.figures };
}
