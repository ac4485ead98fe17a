// Type-checks every `ts` block of the pages below, each as a module of its own, named by its page and line.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const pages = ['README.md', 'docs/adapter-guide.md', 'adapters/memory/README.md', 'adapters/redis/README.md'];
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
