/** Codes that carry the old prefix in `x-amzn-query-error`. */
const prefixed = new Set([
  'BatchRequestTooLong',
  'EmptyBatchRequest',
  'TooManyEntriesInBatchRequest',
  'InvalidBatchEntryId',
  'BatchEntryIdsNotDistinct',
  'PurgeQueueInProgress',
  'UnsupportedOperation',
  'QueueDeletedRecently',
]);
/** Where the modelled name and the old code differ. */
const codes: Readonly<Record<string, string>> = {
  InvalidParameterValueException: 'InvalidParameterValue',
  MissingRequiredParameterException: 'MissingParameter',
  QueueDoesNotExist: 'AWS.SimpleQueueService.NonExistentQueue',
  QueueNameExists: 'QueueAlreadyExists',
};

/** An answer that says no, as SQS gives it. */
export class SqsError extends Error {
  override readonly name: string = 'SqsError';
  /** The modelled name: `QueueDoesNotExist`. */
  readonly type: string;
  readonly status: number;

  constructor(type: string, message: string, status = 400) {
    super(message);
    this.type = type;
    this.status = status;
  }

  /** The old code: `AWS.SimpleQueueService.NonExistentQueue`. */
  get code(): string {
    return codes[this.type] ?? (prefixed.has(this.type) ? `AWS.SimpleQueueService.${this.type}` : this.type);
  }
}

export const invalidValue = (message: string): SqsError => new SqsError('InvalidParameterValueException', message);
export const invalidAttribute = (message: string): SqsError => new SqsError('InvalidAttributeValue', message);
export const missing = (name: string): SqsError =>
  new SqsError('MissingRequiredParameterException', `The request must contain the parameter ${name}.`);
