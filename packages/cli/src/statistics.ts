/** The value below which `p` per cent of the samples lie (nearest rank); NaN of none. */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] ?? Number.NaN;
}

/** The median and both ends. @throws RangeError of no samples: a figure is never made up. */
export function spread(samples: readonly number[]): { value: number; low: number; high: number } {
  if (samples.length === 0) throw new RangeError('no samples');
  return { value: percentile(samples, 50), low: Math.min(...samples), high: Math.max(...samples) };
}
