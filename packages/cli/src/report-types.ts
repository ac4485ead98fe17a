import type { TargetResult } from '@waybill/conformance';

/** The report's JSON, format 1. Later formats keep `format` where it is. */
export interface Report {
  readonly format: 1;
  /** ISO 8601, UTC. */
  readonly created: string;
  readonly waybill: string;
  readonly seed: number;
  readonly machine: string;
  readonly targets: readonly TargetResult[];
}
