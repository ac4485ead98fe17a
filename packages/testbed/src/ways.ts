import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerHost } from './container-host.ts';
import { whyNoEngine } from './engine.ts';
import { freePorts, isPortTaken } from './free-port.ts';
import { Handle, whenReady } from './handle.ts';
import type { Host } from './host.ts';
import { findKit } from './kit.ts';
import { NativeHost } from './native-host.ts';
import { type Tried, variable, type Way } from './not-run.ts';
import type { Environment } from './program.ts';
import { textOf } from './readiness.ts';
import type { Plan, Recipe } from './recipe.ts';
import { type StartOptions, TestbedError } from './running-broker.ts';
import { loadTestcontainers } from './testcontainers.ts';

export interface Start<Options extends StartOptions, Extras extends object> {
  readonly recipe: Recipe<Options, Extras>;
  readonly options: Options;
  readonly env: Environment;
  readonly tried: readonly Tried[];
}

/** A handle, or the reason why not. */
type Answer<Extras> = (Handle & Extras) | string;

const deadlines = { ready: 120_000, address: 5_000, image: 180_000 };
/** Options that say nothing about the broker itself. */
const common = ['from', 'env', 'deadline'];
/** A free port may be taken by another before the broker has it. */
const attempts = 3;

const nothing = (): Promise<void> => Promise.resolve();

/** @throws TestbedError when there is an address and nothing usable behind it: that is a mistake, not an absence */
export async function startAtAddress<O extends StartOptions, E extends object>(start: Start<O, E>): Promise<Answer<E>> {
  const { recipe, options, env, tried } = start;
  const name = variable(recipe.name, 'URL');
  const url = env[name] ?? '';
  if (url === '') return `${name} is not set`;
  const chosen = Object.entries(options).filter(([key, value]) => !common.includes(key) && value !== undefined);
  if (chosen.length > 0)
    return `at an address (${name}) there is no choice of ${chosen.map(([key]) => key).join(', ')}`;
  const contact = recipe.visit(url);
  const { place } = contact;
  const version = await whenReady(contact, place, null, deadlines.address).catch((error: unknown) => {
    throw new TestbedError(`the ${recipe.name} at ${name} does not answer: ${textOf(error)}`, [], { cause: error });
  });
  const { kind } = { ...recipe, ...(contact.kind !== undefined && { kind: contact.kind }) };
  const handle = new Handle({
    name: recipe.name,
    how: 'address',
    kind,
    version,
    tried,
    place,
    contact,
    host: null,
    restore: nothing,
    deadline: deadlines.address,
  });
  return Object.assign(handle, contact.extras(place, handle.can.users, []));
}

export async function startInContainer<O extends StartOptions, E extends object>(
  start: Start<O, E>,
): Promise<Answer<E>> {
  const { recipe, options, env } = start;
  const silent = await whyNoEngine(env);
  if (silent !== null) return silent;
  const library = await loadTestcontainers();
  if (library === null) return 'a container engine answers, but the package testcontainers is not installed';
  if (options.folder !== undefined) return 'a container keeps its data in itself, not in a folder';
  const image = env[variable(recipe.name, 'IMAGE')] ?? recipe.image;
  return started(start, 'container', async (plan, port) => {
    if (typeof plan.crate === 'string') throw new Error(plan.crate);
    const deadline = options.deadline ?? deadlines.image;
    return ContainerHost.make(library, { image, crate: plan.crate, port, deadline });
  });
}

export async function startProcess<O extends StartOptions, E extends object>(start: Start<O, E>): Promise<Answer<E>> {
  const { recipe, options, env } = start;
  const kit = await findKit(recipe, options, env);
  if (typeof kit === 'string') return kit;
  return started(start, 'process', (plan, port) =>
    NativeHost.make({
      name: recipe.name,
      port,
      folder: options.folder ?? null,
      nodes: plan.nodes ?? 1,
      launch: (folder, node) => plan.launch({ folder, node, ...kit }),
    }),
  );
}

/** Starts a broker of our own and waits until it answers; what does not get ready is removed. */
async function started<O extends StartOptions, E extends object>(
  { recipe, options, tried }: Start<O, E>,
  how: Way,
  make: (plan: Plan<E>, port: number) => Promise<Host>,
): Promise<Answer<E>> {
  const { name, kind } = recipe;
  const deadline = options.deadline ?? deadlines.ready;
  for (let attempt = 1; ; attempt++) {
    const free = await freePorts(recipe.ports(options));
    const port = options.port ?? free[0] ?? 0;
    const plan = recipe.plan(options, [port, ...free.slice(1)]);
    let host: Host | null = null;
    try {
      host = await make(plan, port);
      await host.start();
      const { place } = host;
      const said = await whenReady(plan, place, host, deadline);
      await plan.restore(place);
      const version = (await printed(plan, host)) ?? said;
      const restore = (): Promise<void> => plan.restore(place);
      const handle = new Handle({ name, how, kind, version, tried, place, contact: plan, host, restore, deadline });
      return Object.assign(handle, plan.extras(place, handle.can.users, host.nodes ?? []));
    } catch (error) {
      const log = (await host?.log(20).catch(() => [])) ?? [];
      await host?.close().catch(() => undefined);
      if (attempt < attempts && options.port === undefined && isPortTaken([textOf(error), ...log].join('\n'))) continue;
      const said = log.slice(-3).join(' / ');
      return `${name} did not start in a ${how}: ${textOf(error)}${said === '' ? '' : ` (${said})`}`;
    }
  }
}

/** It may say its version a moment after it has begun to answer. */
async function printed(plan: Plan<object>, host: Host): Promise<string | null> {
  for (let look = 0; plan.printed !== undefined && look < 100; look++) {
    const found = plan.printed(await host.log(Infinity));
    if (found !== null) return found;
    await sleep(20);
  }
  return null;
}
