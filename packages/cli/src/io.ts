import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isatty } from 'node:tty';

/** The world as a command sees it; tests give another. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Whether a person watches standard error. */
  readonly isTerminal: boolean;
  readonly now: () => Date;
}

export function processIo(): Io {
  return {
    env: process.env,
    cwd: process.cwd(),
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    isTerminal: isatty(2),
    now: () => new Date(),
  };
}

/** The value of `--json [FILE]`: a file, `true` for standard output, undefined when it was not given. */
export type JsonOption = string | true | undefined;

/**
 * What a command says in the end. With `--json` and no file, standard output holds the JSON and nothing else, so the
 * text goes to standard error.
 */
export async function conclude(io: Io, json: JsonOption, value: unknown, text: string): Promise<void> {
  const document = `${JSON.stringify(value, null, 2)}\n`;
  if (typeof json === 'string') await writeFile(resolve(io.cwd, json), document);
  if (json === true) {
    io.stdout(document);
    io.stderr(text);
  } else {
    io.stdout(text);
  }
}
