import type { HistoryEvent } from './event.ts';
import type { Finding } from './finding.ts';
import type { History } from './history.ts';

const most = { findings: 8, messages: 3, events: 60 };

/** The shortest part of a history that shows these findings, as text. */
export function slice(history: History, findings: readonly Finding[]): string {
  const lines = findings.slice(0, most.findings).map((finding) => `- ${finding.kind}: ${finding.text}`);
  if (findings.length > most.findings) lines.push(`- and ${findings.length - most.findings} more`);
  const shown = new Set<string>();
  for (const { id, key, topic } of findings) {
    if (id === undefined || shown.has(id) || shown.size >= most.messages) continue;
    shown.add(id);
    lines.push('', `What happened to ${id}${key === undefined || key === null ? '' : ` and around it to key ${key}`}:`);
    lines.push(...around(history, id, key ?? null, topic ?? null));
  }
  if (shown.size === 0) lines.push('', 'The last events:', ...tail(history));
  return lines.join('\n');
}

/** The last events, for failures that are about no message. */
export function tail(history: History, count: number = 20): string[] {
  const began = history.events[0]?.wall ?? 0;
  const lines: string[] = [];
  let alike: HistoryEvent[] = [];
  const flush = (): void => {
    const [first] = alike;
    if (first !== undefined)
      lines.unshift(line(first, began) + (alike.length > 1 ? `  … and ${alike.length - 1} more` : ''));
  };
  // Many events of one type in a row are one line.
  for (const event of history.events.toReversed()) {
    if (alike[0]?.type === event.type) {
      alike.unshift(event);
      continue;
    }
    flush();
    if (lines.length >= count) return lines;
    alike = [event];
  }
  flush();
  return lines;
}

function around(history: History, id: string, key: string | null, topic: string | null): string[] {
  const numbers = new Set<string>();
  const mates = new Set<string>([id]);
  if (key !== null) {
    const ofKey = history.publishes.filter(
      (publish) => publish.key === key && (topic === null || publish.topic === topic),
    );
    const at = ofKey.findIndex((publish) => publish.id === id);
    for (const mate of ofKey.slice(Math.max(0, at - 1), at + 2)) mates.add(mate.id);
  }
  const events = history.events.filter((event) => concerns(event, mates, numbers));
  const began = history.events[0]?.wall ?? 0;
  const lines = events.slice(0, most.events).map((event) => line(event, began));
  if (events.length > most.events) lines.push(`  … ${events.length - most.events} more`);
  return lines;
}

/** @param numbers Deliveries, arrivals and operations that belong to the messages: grows on the way. */
function concerns(event: HistoryEvent, ids: ReadonlySet<string>, numbers: Set<string>): boolean {
  const remember = (kind: string, number: number | string): true => {
    numbers.add(`${event.process}/${kind}/${number}`);
    return true;
  };
  const known = (kind: string, number: number | string): boolean => numbers.has(`${event.process}/${kind}/${number}`);
  switch (event.type) {
    case 'publish.start':
      return ids.has(event.id) && remember('op', event.op);
    case 'publish.confirmed':
    case 'publish.rejected':
    case 'publish.unknown':
    case 'publish.dropped':
      return ids.has(event.id) || known('op', event.op);
    case 'send':
      return event.ids.some((id) => ids.has(id));
    case 'arrive':
      return ids.has(event.id) && remember('arrival', event.arrival);
    case 'deliver':
      return ids.has(event.id) && remember('delivery', event.delivery);
    case 'settle.start':
    case 'settle.ok':
    case 'settle.lost':
    case 'settle.fail':
      return known('arrival', event.arrival);
    case 'handler.end':
    case 'signal':
      return known('delivery', event.delivery);
    case 'detached':
    case 'promise.start':
    case 'promise.end':
      return false;
    default:
      return true; // faults, ownership, notes: what happened to everyone
  }
}

function line(event: HistoryEvent, began: number): string {
  const { n: _, at: __, wall, process, type, ...rest } = event;
  const said = Object.entries(rest).flatMap(([name, value]) =>
    value === null || value === '' || value === false || hidden.has(name) ? [] : [`${name}=${text(value)}`],
  );
  return `  ${(wall - began).toFixed(1).padStart(9)} ms  ${process}  ${type}  ${said.join(' ')}`;
}

const hidden = new Set(['body', 'headers', 'bytes', 'run', 'time', 'sendIds', 'began']);

function text(value: unknown): string {
  const written = typeof value === 'string' ? value : JSON.stringify(value);
  return written.length > 120 ? `${written.slice(0, 120)}…` : written;
}
