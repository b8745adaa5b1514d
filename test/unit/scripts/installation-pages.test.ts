import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MANIFESTS, type ManifestName, renderManifest } from '../../../scripts/manifests/render.ts';
import { patchesFor } from '../../../scripts/manifests/values.ts';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import { pageCommands } from '../../support/page-commands.ts';

const ROOT = new URL('../../..', import.meta.url).pathname;
const PAGES = ['install', 'migrate', 'operate'].map((name) => `docs/${name}.md`);
const MAKEFILE = readFileSync(join(ROOT, 'Makefile'), 'utf8');

const COMMANDS = PAGES.flatMap((page) =>
  // Without where they write.
  pageCommands(page).map((line) => [page, line.replace(/\s+>.*/, '')] as const),
);
const OBJECTS = Object.keys(MANIFESTS)
  .map((name) => renderManifest(name as ManifestName, {}))
  .join('---\n');

/** What is wrong with a command, as far as that can be known from here. */
async function wrongWith(line: string): Promise<string | undefined> {
  const words = line.split(' ');
  const [program = '', ...args] = words;
  if (program === 'make') return wrongTarget(args);
  if (program === 'weft') return 'help' in (await parseCommandLine(args)) ? 'help' : undefined;
  if (program === 'kubectl') return wrongObject(args);
  return undefined;
}

function wrongTarget(args: readonly string[]): string | undefined {
  const values = args.flatMap((arg) => {
    const [, name, value] = /^(\w+)=(.*)$/.exec(arg) ?? [];
    return name === undefined ? [] : [[name, value] as const];
  });
  const others = values.filter(([name]) => !/^(?:IMAGE_ARCH|DESTDIR)$/.test(name));
  patchesFor(Object.fromEntries(others));
  const targets = args.filter((arg) => !arg.includes('='));
  return targets.find((target) => !new RegExp(`^${target}:`, 'm').test(MAKEFILE));
}

/** Files that are made, and the names in them. */
function wrongObject(args: readonly string[]): string | undefined {
  const file = args[args.indexOf('-f') + 1] ?? '';
  if (args.includes('-f')) return file.replace('dist/', '') in MANIFESTS ? undefined : file;
  if (!args.includes('weft')) return undefined;
  const container = args.includes('-c') ? (args[args.indexOf('-c') + 1] ?? '') : 'weft';
  return OBJECTS.includes(`name: ${container}\n`) ? undefined : container;
}

test.each(COMMANDS)('%s: %s', async (_page, line) => {
  expect(await wrongWith(line)).toBeUndefined();
});

describe('the rules themselves fire', () => {
  test('there are commands', () => {
    expect(COMMANDS.length).toBeGreaterThan(20);
  });

  test.each([
    'make imaginary',
    'kubectl apply -f dist/none.yaml',
    'kubectl -n weft logs ds/weft -c none',
  ])('%s', async (line) => {
    expect(await wrongWith(line)).toBeDefined();
  });

  test.each(['weft instal --drop-in', 'make manifests BACKEND=none-such'])('%s', async (line) => {
    await expect(wrongWith(line)).rejects.toThrow();
  });
});
