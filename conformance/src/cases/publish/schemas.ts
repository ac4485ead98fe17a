import type { TopicOptions } from '@waybill/core';

/** What a topic takes as its schema. */
export type StandardSchema<T, I = T> = NonNullable<TopicOptions<T, I>['schema']>;

/** A schema of the standard's shape, without a library: `problem` says what is wrong with a value, or null. */
export function schemaOf<T>(problem: (value: unknown) => string | null): StandardSchema<T> {
  return schemaOfParsed<T, T>((value) => {
    const message = typeof value === 'object' && value !== null ? problem(value) : 'must be an object';
    return message === null ? { value: value as T } : { message };
  });
}

/** One that may change what it accepts: defaults of a newer version, for instance. */
export function schemaOfParsed<T, I>(
  parse: (value: unknown) => { readonly value: T } | { readonly message: string },
): StandardSchema<T, I> {
  return {
    '~standard': {
      version: 1,
      vendor: 'waybill-conformance',
      validate: (value) => {
        const parsed = parse(value);
        return 'value' in parsed ? parsed : { issues: [parsed] };
      },
    },
  };
}
