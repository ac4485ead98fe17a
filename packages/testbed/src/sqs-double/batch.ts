import { SqsError } from './sqs-error.ts';

export type Input = Readonly<Record<string, unknown>>;
export type Output = Record<string, unknown>;
/** One entry of a batch, as it came. */
export type Entry = Input & { readonly Id?: string };
/** Says of an entry that it fails, and whether what it asks for is done all the same; null: it does not. */
export type FailEntry = (
  entry: Entry,
  index: number,
) => { readonly code: string; readonly senderFault: boolean; readonly done: boolean } | 'unmentioned' | null;

/** @throws SqsError where the batch as a whole is wrong */
export function entriesOf(input: Input): readonly Entry[] {
  const entries = (input['Entries'] ?? []) as readonly Entry[];
  const ids = entries.map(({ Id = '' }) => Id);
  if (ids.length === 0) throw new SqsError('EmptyBatchRequest', 'There should be at least one entry in the request.');
  if (ids.length > 10)
    throw new SqsError('TooManyEntriesInBatchRequest', 'Maximum number of entries per request are 10.');
  if (ids.some((id) => !/^[\w-]{1,80}$/.test(id)))
    throw new SqsError(
      'InvalidBatchEntryId',
      'A batch entry id can only contain alphanumeric characters, hyphens and underscores.',
    );
  if (new Set(ids).size < ids.length) throw new SqsError('BatchEntryIdsNotDistinct', 'Ids are not distinct.');
  return entries;
}

/** Entry by entry, in order: what is wrong with one is said of that one. */
export function runBatch(entries: readonly Entry[], fail: FailEntry, use: (entry: Entry) => Output | void): Output {
  const Successful: Output[] = [];
  const Failed: Output[] = [];
  for (const [index, entry] of entries.entries()) {
    const failure = fail(entry, index);
    try {
      const done = failure === null || failure === 'unmentioned' || failure.done ? use(entry) : undefined;
      if (failure === null) Successful.push({ Id: entry.Id, ...done });
      else if (failure !== 'unmentioned')
        Failed.push({
          Id: entry.Id,
          Code: failure.code,
          SenderFault: failure.senderFault,
          Message: 'It was made to fail.',
        });
    } catch (error) {
      if (!(error instanceof SqsError)) throw error;
      Failed.push({ Id: entry.Id, SenderFault: true, Code: error.code, Message: error.message });
    }
  }
  return { ...(Successful.length > 0 && { Successful }), ...(Failed.length > 0 && { Failed }) };
}
