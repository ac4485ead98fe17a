/** Counts since the start, shown by `health`. */
export interface DispatchCounts {
  handled: number;
  failed: number;
  filtered: number;
  expired: number;
  deadLettered: number;
  dropped: number;
  forged: number;
}

export const noCounts = (): DispatchCounts => ({
  handled: 0,
  failed: 0,
  filtered: 0,
  expired: 0,
  deadLettered: 0,
  dropped: 0,
  forged: 0,
});
