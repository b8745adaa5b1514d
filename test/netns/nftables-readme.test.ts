/** The example in src/nftables/README.md does what it says. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createNetns } from '../support/netns.ts';

const source = new URL('../../src/nftables/', import.meta.url);
const netns = createNetns('readme');
const directory = mkdtempSync(join(tmpdir(), 'weft-readme-'));
afterAll(() => {
  netns.remove();
  rmSync(directory, { recursive: true });
});

test('the example makes a table and finds it the second time', () => {
  const readme = readFileSync(new URL('README.md', source), 'utf8');
  const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  const file = join(directory, 'example.mts');
  const withPaths = code.replaceAll(
    /from '(\.[^']*)'/g,
    (_, path: string) => `from '${new URL(path, source).href}'`,
  );
  writeFileSync(file, withPaths);
  expect(netns.run(process.execPath, file)).toBe('true 2\n');
  expect(netns.run('nft', 'list', 'chain', 'ip', 'example', 'n2')).toContain(
    'dnat ip to ip daddr . meta l4proto . th dport . numgen random mod 2 map @endpoints',
  );
  expect(netns.run(process.execPath, file)).toBe('false 2\n');
});
