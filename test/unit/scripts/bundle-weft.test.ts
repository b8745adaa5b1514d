/** What `weft` loads before it knows what it is asked for: it is what every command waits for. */
import type { Metafile } from 'esbuild';
import { beforeAll, expect, test } from 'vitest';
import { bundleWeft } from '../../../scripts/bundle-weft.ts';

/** Node has them at hand, or has them soon. */
const QUICK_MODULES = [
  ...['fs', 'module', 'path', 'util'],
  ...['events', 'fs', 'fs/promises', 'module', 'net', 'os', 'path', 'timers/promises'].map(
    (name) => `node:${name}`,
  ),
];
const MOST_BYTES = 200_000;

let metafile: Metafile;
beforeAll(async () => {
  metafile = await bundleWeft('dist', false);
});

/** Files of the bundle that are loaded with one of them. */
function loadedWith(file: string, found = new Set<string>()): ReadonlySet<string> {
  if (found.has(file)) return found;
  found.add(file);
  for (const { path, kind, external } of metafile.outputs[file]?.imports ?? []) {
    if (kind === 'import-statement' && external !== true) loadedWith(path, found);
  }
  return found;
}

/** Sources and packages that are in them, by their beginnings. */
function inputsOf(files: ReadonlySet<string>): readonly string[] {
  return [...files].flatMap((file) =>
    Object.entries(metafile.outputs[file]?.inputs ?? {}).flatMap(([path, { bytesInOutput }]) =>
      bytesInOutput > 0 ? [path] : [],
    ),
  );
}

function entryOf(source: string): string {
  const entries = Object.entries(metafile.outputs);
  return entries.find(([, { entryPoint }]) => entryPoint === source)?.[0] ?? '';
}

test('of packages it has the parser of the command line, and of weft only texts and shapes', () => {
  const inputs = inputsOf(loadedWith('dist/weft.mjs'));
  expect(inputs.length).toBeGreaterThan(50);
  const packages = inputs.filter((path) => path.includes('node_modules/'));
  expect(packages.filter((path) => !path.startsWith('node_modules/yargs-parser/'))).toEqual([]);
  const working =
    /^src\/(?:netlink|nftables|iptables|kernel|kube|ipam|proxy|fabric|policy|routing)\//;
  expect(inputs.filter((path) => working.test(path))).toEqual([]);
});

test('it is small, in few files, and needs no module of Node that takes long', () => {
  const files = loadedWith('dist/weft.mjs');
  const outputs = [...files].map((file) => metafile.outputs[file]);
  expect(outputs.length).toBeLessThanOrEqual(4);
  expect(outputs.reduce((sum, output) => sum + (output?.bytes ?? 0), 0)).toBeLessThan(MOST_BYTES);
  const modules = outputs.flatMap((output) =>
    (output?.imports ?? []).flatMap(({ path, external, kind }) =>
      external === true && kind === 'import-statement' ? [path] : [],
    ),
  );
  expect(modules.filter((path) => !QUICK_MODULES.includes(path))).toEqual([]);
});

test('what is on record is read without the agent', () => {
  const inputs = inputsOf(loadedWith(entryOf('src/cli/records.ts')));
  expect(inputs).toContain('src/cni/upkeep/records.ts');
  expect(inputs.filter((path) => path.includes('node_modules/'))).toEqual([]);
});

test('the rest is loaded at once', () => {
  const inputs = inputsOf(loadedWith(entryOf('later:later')));
  for (const path of ['src/agent/agent.ts', 'src/policy/evaluator.ts', 'node_modules/yaml/']) {
    expect(inputs.some((input) => input.startsWith(path))).toBe(true);
  }
});
