import type { Cost } from '@waybill/conformance';
import { randomInt } from 'node:crypto';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { describeBroker } from './broker-command.ts';
import { runCompare } from './compare-command.ts';
import { runConformance } from './conformance-command.ts';
import { runDoctor } from './doctor-command.ts';
import { errorText } from './error-text.ts';
import { escapeLines } from './escape-text.ts';
import type { ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { COSTS } from './suite.ts';
import { TARGET_NAMES } from './targets.ts';
import { VERSION } from './version.ts';

/** Runs one command line and says how it ended. Never rejects. */
export async function run(args: readonly string[], io: Io): Promise<ExitCode> {
  let ended: ExitCode = 0;
  const program = describe(io, async (command) => {
    ended = await command;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return ended;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has said why
    io.stderr(`waybill: ${escapeLines(errorText(error))}\n`);
    return 2;
  }
}

type Execute = (command: Promise<ExitCode>) => Promise<void>;

function describe(io: Io, execute: Execute): Command {
  const program = new Command('waybill')
    .description('One message bus contract, several brokers, and the suite that proves it.')
    .version(VERSION)
    .showHelpAfterError('(waybill --help shows what is allowed)')
    .exitOverride()
    .configureOutput({ writeOut: io.stdout, writeErr: (text) => io.stderr(escapeLines(text)) })
    .addHelpText(
      'after',
      `
Exit codes:
  0  all is well
  1  a case failed, or something configured is refused
  2  wrong usage or configuration
  3  a required broker did not run, or a case was inconclusive

Examples:
  waybill doctor
  waybill conformance --broker memory
  WAYBILL_REDIS_URL=redis://localhost:6379 waybill compare --brokers memory,redis`,
    );

  program
    .command('conformance')
    .description('Runs the conformance suite on one broker.')
    .option('--broker <name>', TARGET_NAMES.join(', '))
    .option('--saboteurs', 'proves on memory that cases can fail: adapters that break one thing each must be caught')
    .option('--filter <id>', 'only cases whose id begins so, or that prove this guarantee')
    .addOption(costOption('quick', 'slow'))
    .option('--faults', 'the cases that inject faults, whatever they cost, and no others')
    .option(
      '--scale <n>',
      'makes fault cases so many times as large: messages, rounds, and the time they may take',
      scale,
      1,
    )
    .option('--seed <n>', 'repeats the random choices of an earlier run', seed)
    .option('--json [file]', 'the report as JSON, to the file, or to standard output and nothing else there')
    .addHelpText(
      'after',
      `
A real broker is the one at WAYBILL_<NAME>_URL, where only objects under random names are made and no fault is injected;
else one of its own, in a container or a process, as waybill broker start has it.

Examples:
  waybill conformance --broker memory --cost quick,slow,fault
  waybill conformance --broker redis --filter O2
  waybill conformance --broker redis --faults --scale 10
  waybill conformance --saboteurs
  waybill conformance --broker memory --filter O2.hold-key --seed 7 --json result.json`,
    )
    .action((options) => execute(runConformance({ ...options, seed: options.seed ?? randomSeed() }, io)));

  program
    .command('compare')
    .description('Runs suite and measurements on several brokers and writes a report.')
    .option('--brokers <list>', 'names with commas (default: memory and every real broker that is to be had)')
    .option('--out <folder>', 'where the report goes; a new or empty folder, or an earlier report', 'report')
    .addOption(costOption('quick', 'slow', 'fault'))
    .option('--seed <n>', 'repeats the random choices of an earlier run', seed)
    .option('--json [file]', 'the report as JSON, too: to the file, or to standard output and nothing else there')
    .addHelpText(
      'after',
      `
WAYBILL_REQUIRE=all, or a list of names, makes a broker that does not run a failure (exit code 3).

Examples:
  waybill compare
  WAYBILL_REDIS_URL=redis://localhost:6379 waybill compare --brokers memory,redis --out report
  WAYBILL_REQUIRE=redis waybill compare --json`,
    )
    .action((options) => execute(runCompare({ ...options, seed: options.seed ?? randomSeed() }, io)));

  program
    .command('doctor')
    .description('Shows the configuration in force, whether its brokers answer, and what they keep of what is needed.')
    .option('--config <file>', 'instead of waybill.config.* of the working directory')
    .option('--json [file]', 'the diagnosis as JSON, to the file, or to standard output and nothing else there')
    .addHelpText(
      'after',
      `
Examples:
  waybill doctor
  waybill doctor --config deploy/waybill.config.yaml
  WAYBILL_URL=redis://localhost:6379 waybill doctor --json`,
    )
    .action((options) => execute(runDoctor(options, io)));

  describeBroker(program, io, execute);

  return program;
}

function costOption(...chosen: readonly Cost[]): Option {
  const option = new Option('--cost <list>', `costs with commas: ${COSTS.join(', ')}`);
  return option.argParser(costs).default(chosen, chosen.join(','));
}

function costs(text: string): Cost[] {
  return text.split(',').map((word) => {
    const cost = COSTS.find((one) => one === word.trim());
    if (cost === undefined) throw new InvalidArgumentError(`Allowed: ${COSTS.join(', ')}.`);
    return cost;
  });
}

const largestSeed = 2 ** 31 - 1;

function seed(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= largestSeed) return value;
  throw new InvalidArgumentError(`Allowed: a whole number from 0 to ${largestSeed}.`);
}

const largestScale = 1_000;

function scale(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= largestScale) return value;
  throw new InvalidArgumentError(`Allowed: a whole number from 1 to ${largestScale}.`);
}

function randomSeed(): number {
  return randomInt(largestSeed);
}
