import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/*
 * It reads a pipe whose other end only this process holds. The end of the file means that this process has gone, however
 * it went: then the broker is killed and its folder removed. Lines say whom to kill, and when all was tidied up.
 */
const script = `
pids=
while read -r word value; do
  case $word in
    guard) pids="$pids $value" ;;
    release)
      others=
      for pid in $pids; do [ "$pid" = "$value" ] || others="$others $pid"; done
      pids=$others ;;
    done) exit 0 ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
[ -n "$1" ] || exit 0
for try in 1 2 3 4 5 6 7 8 9 10; do # what is being killed may still write
  rm -rf -- "$1" 2>/dev/null && exit 0
  sleep 1
done
`;

/**
 * Leaves nothing behind when this process ends without tidying up, by `kill -9` too. It also strikes when the worker
 * thread ends that made it, so brokers that several test files share belong to the main process.
 */
export class Watchdog {
  readonly #shell: ChildProcess;
  readonly #ended: Promise<unknown>;

  /** @param folder Removed when this process dies; empty for none. */
  constructor(folder: string) {
    // Detached, or Ctrl-C would reach it before it has anything to do.
    this.#shell = spawn('/bin/sh', ['-c', script, 'waybill-watchdog', folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      cwd: '/',
    });
    this.#ended = once(this.#shell, 'exit').catch(() => undefined);
    this.#shell.stdin?.on('error', () => undefined); // it was killed by hand
    this.#shell.unref();
    (this.#shell.stdin as Socket | null)?.unref();
  }

  get pid(): number | undefined {
    return this.#shell.pid;
  }

  /** From now on this process dies with us. */
  guard(pid: number): void {
    this.#tell(`guard ${pid}`);
  }

  /** It has ended. Said only then, and at once, so that nobody who gets its number later is ever killed. */
  release(pid: number): void {
    this.#tell(`release ${pid}`);
  }

  /** All was tidied up. */
  async end(): Promise<void> {
    this.#tell('done');
    this.#shell.ref();
    await Promise.race([this.#ended, sleep(2_000, undefined, { ref: false })]);
    this.#shell.unref();
  }

  #tell(line: string): void {
    this.#shell.stdin?.write(`${line}\n`);
  }
}
