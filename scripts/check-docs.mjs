// Type-checks every `ts` block of the pages below, each as a module of its own, named by its page and line; and looks that
// each adapter's page has a row for every option that the adapter has.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const adapters = readdirSync('adapters');
const pages = [
  'README.md',
  'docs/adapter-guide.md',
  'packages/testbed/README.md',
  ...adapters.map((adapter) => `adapters/${adapter}/README.md`),
];
const folder = '.results/docs';
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
for (const page of pages) {
  const text = readFileSync(page, 'utf8');
  for (const block of text.matchAll(/^```ts\n(.*?)^```$/gms)) {
    const line = text.slice(0, block.index).split('\n').length;
    if (/\{ … \}|…/.test(block[1])) continue; // a sketch, and said to be one
    writeFileSync(join(folder, `${page.replaceAll(/\W+/g, '-')}-${line}.ts`), `${block[1]}\nexport {};\n`);
  }
}
const tsconfig = join(folder, 'tsconfig.json');
writeFileSync(
  tsconfig,
  JSON.stringify({
    extends: '../../tsconfig.test.json',
    // A page shows what matters; names it does not use are no mistake.
    compilerOptions: { types: ['node'], noUnusedLocals: false, noUnusedParameters: false },
    include: ['*.ts'],
  }),
);
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', tsconfig], { stdio: 'inherit' });

const unnamed = adapters.flatMap((adapter) => {
  const page = readFileSync(`adapters/${adapter}/README.md`, 'utf8');
  const source = readFileSync(`adapters/${adapter}/src/options.ts`, 'utf8');
  const options = [...source.matchAll(/^export interface \w+Options .*?^}/gms)].flatMap(([text]) =>
    [...text.matchAll(/^  readonly (\w+)\?:/gm)].map(([, name]) => name),
  );
  if (options.length === 0) throw new Error(`adapters/${adapter}/src/options.ts has no options`);
  return options
    .filter((name) => !new RegExp(`^\\|[^|]*\`${name}\\b`, 'm').test(page))
    .map((name) => `adapters/${adapter}/README.md: ${name}`);
});
if (unnamed.length > 0) throw new Error(`options without a row:\n${unnamed.join('\n')}`);
