/** A wrong argument or configuration: exit code 2, and no stack. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}
