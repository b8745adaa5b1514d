import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = new URL('../..', import.meta.url).pathname;
const PAGES = execFileSync('git', ['ls-files', '*.md', '**/*.md'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter((page) => page !== '' && page !== 'CHANGELOG.md' && existsSync(join(ROOT, page)));

/** Paths from the root of the tree, in code: `src/net/ip.ts`, `test/golden/`. */
function namedPaths(text: string): readonly string[] {
  const pattern =
    /(?<![\w/.-])(?:src|test|native|scripts|docs|cni-conf|\.ci)\/[\w./-]*[\w/](?![\w*-])/g;
  return [...text.matchAll(/`[^`\n]+`/g)].flatMap(([code]) => code.match(pattern) ?? []);
}

/** What links lead to, from the page's folder. */
function linkedPaths(page: string, text: string): readonly string[] {
  return [...text.matchAll(/\]\((?!\w+:)([^)#]+)/g)].map(([, target = '']) => {
    return normalize(join(dirname(page), target));
  });
}

function missingIn(page: string, text: string): readonly string[] {
  // A build makes these.
  const isBuilt = (path: string) => /\/build(?:-sanitized)?\//.test(path);
  return [...namedPaths(text), ...linkedPaths(page, text)].filter(
    (path) => !isBuilt(path) && !existsSync(join(ROOT, path)),
  );
}

test.each(PAGES)('every file that %s names exists', (page) => {
  expect(missingIn(page, readFileSync(join(ROOT, page), 'utf8'))).toEqual([]);
});

test('a file that is missing is found', () => {
  const text =
    'See `src/net/none.ts`, `make T=test/none` and [this](none.md), not `xsrc/net/none.ts`.';
  expect(missingIn('docs/page.md', text)).toEqual(['src/net/none.ts', 'test/none', 'docs/none.md']);
});
