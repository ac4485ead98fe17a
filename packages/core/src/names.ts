import { WaybillError } from './errors.ts';
import { quote } from './quote.ts';

/*
 * Names given by users hold no underscore, begin with a letter, and are joined by underscores that only we write; counts
 * are digits. So every joined name can be taken apart in one way only, and no two destinations share one.
 */
const shape = /^[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*$/;
const longest = 64;
const reserved: readonly string[] = ['dlq', 'retry'];

/** @throws WaybillError `invalid`, naming the value and the rule it breaks. */
export function checkName(kind: 'topic' | 'group' | 'prefix', name: string): void {
  const problem = problemOf(kind, name);
  if (problem !== null) throw new WaybillError('invalid', `${kind} name ${quote(name)} ${problem}`);
}

function problemOf(kind: string, name: unknown): string | null {
  if (typeof name !== 'string') return 'must be a string';
  if (name.length > longest) return `has ${name.length} characters; allowed: ${longest}`;
  if (!shape.test(name)) {
    return 'must be words of a-z and 0-9 joined by single dots or hyphens, the first beginning with a letter';
  }
  if (kind === 'group' && reserved.includes(name)) return `is reserved (${reserved.join(', ')})`;
  return null;
}

/** The topic's joined name, on which all others build: `orders`, `prod___orders`. */
export function joinTopic(prefix: string | null, topic: string): string {
  checkName('topic', topic);
  if (prefix === null) return topic;
  checkName('prefix', prefix);
  return `${prefix}___${topic}`;
}

/** A group's place at a topic: `orders__inventory`. @param topic The joined name. */
export function groupName(topic: string, group: string): string {
  checkName('group', group);
  return `${topic}__${group}`;
}

/** The destination that reaches this group only: `orders__inventory__retry`. @param topic The joined name. */
export function inboxName(topic: string, group: string): string {
  return `${groupName(topic, group)}__retry`;
}

/** Where the group's given-up messages go: `orders__inventory__dlq`. @param topic The joined name. */
export function deadLetterName(topic: string, group: string): string {
  return `${groupName(topic, group)}__dlq`;
}

/**
 * One partition of a topic, group or inbox: `orders__12__3`. It carries the count too, so that two counts never share a
 * name (O7).
 *
 * @param base A joined name.
 */
export function partitionName(base: string, count: number, index: number): string {
  if (Number.isSafeInteger(count) && Number.isSafeInteger(index) && index >= 0 && index < count) {
    return `${base}__${count}__${index}`;
  }
  throw new WaybillError(
    'invalid',
    `partition of ${quote(base)} is ${quote(index)} of ${quote(count)}; allowed: whole numbers, the index from 0 and below the count`,
  );
}
