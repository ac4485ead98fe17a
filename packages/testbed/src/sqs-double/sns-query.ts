import type { SqsError } from './sqs-error.ts';

/** What a form is made of: texts, lists and maps. */
export type Tree = { readonly [name: string]: Tree } | readonly Tree[] | string;

/** The parameters of SNS's query protocol: `A.member.1.Id=x` is a list of maps, `M.entry.1.key` and `.value` a map. */
export function readQuery(form: string): Record<string, Tree> {
  const root: Node = new Map();
  for (const [path, value] of new URLSearchParams(form)) {
    const names = path.split('.');
    const last = names.pop() ?? '';
    let at = root;
    for (const name of names) {
      const next = at.get(name);
      const below: Node = next instanceof Map ? next : new Map();
      at.set(name, below);
      at = below;
    }
    at.set(last, value);
  }
  return Object.fromEntries([...root].map(([name, node]) => [name, folded(node)]));
}

type Node = Map<string, Node | string>;

function folded(node: Node | string): Tree {
  if (typeof node === 'string') return node;
  const list = node.get('member');
  if (list instanceof Map) return [...list.values()].map(folded);
  const map = node.get('entry');
  if (map instanceof Map)
    return Object.fromEntries(
      [...map.values()].map((entry) => {
        const { key, Name, value, Value } = folded(entry) as Record<string, Tree>;
        return [(key ?? Name) as string, value ?? Value ?? ''];
      }),
    );
  return Object.fromEntries([...node].map(([name, below]) => [name, folded(below)]));
}

/** The answer to a call. Lists have members; attributes are a map, which has entries. */
export function writeQuery(action: string, result: object): string {
  return `<${action}Response><${action}Result>${xml(result)}</${action}Result></${action}Response>`;
}

export function writeError({ status, type, message }: SqsError): string {
  const whose = status >= 500 ? 'Receiver' : 'Sender';
  return `<ErrorResponse><Error><Type>${whose}</Type><Code>${type}</Code><Message>${escaped(message)}</Message></Error></ErrorResponse>`;
}

function xml(tree: unknown): string {
  if (typeof tree !== 'object' || tree === null) return escaped(String(tree));
  if (Array.isArray(tree)) return tree.map((one) => `<member>${xml(one)}</member>`).join('');
  return Object.entries(tree)
    .map(([name, value]) => `<${name}>${name === 'Attributes' ? entries(value as object) : xml(value)}</${name}>`)
    .join('');
}

function entries(map: object): string {
  return Object.entries(map)
    .map(([key, value]) => `<entry><key>${escaped(key)}</key><value>${escaped(String(value))}</value></entry>`)
    .join('');
}

const marks: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string): string => text.replaceAll(/[&<>"]/g, (mark) => marks[mark] ?? mark);
