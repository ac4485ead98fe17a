import type { Comparison, Row } from './broker-comparison.ts';

const columns = [34, 12, 12, 22, 10] as const;

/** A comparison as text. */
export function tableOf({ broker, version, against, messages, rounds, rows }: Comparison): string {
  const head = ['', 'Waybill', 'raw', 'result (lowest to highest)', 'target'];
  return [
    `${broker} ${version}: ${messages} messages of 1 KiB JSON, median of ${rounds} rounds; raw is ${against}`,
    lineOf(head),
    ...rows.map((row) => lineOf(cellsOf(row))),
  ].join('\n');
}

function cellsOf({ id, unit, waybill, raw, result, kind, target }: Row): string[] {
  const { value, low, high } = result;
  const [said, met] =
    kind === 'ratio'
      ? [`${value.toFixed(2)} × (${low.toFixed(2)}–${high.toFixed(2)})`, value >= target]
      : [`${value.toFixed(2)} ms (${low.toFixed(2)}–${high.toFixed(2)})`, value <= target];
  const wanted = `${kind === 'ratio' ? '≥' : '≤'} ${target}`;
  return [id, `${waybill.toFixed(2)} ${unit}`, `${raw.toFixed(2)} ${unit}`, said, met ? wanted : `${wanted}  missed`];
}

function lineOf(cells: readonly string[]): string {
  return cells.map((cell, at) => (at === 0 ? cell.padEnd(columns[0]) : cell.padStart(columns[at] ?? 0))).join('  ');
}
