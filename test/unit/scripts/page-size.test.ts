import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundlePage } from '../../../scripts/bundle-page.ts';
import { bundledPackages } from '../../../scripts/third-party-notices.ts';
import { ASSET_PATHS, openAssets, PAGE_HEADERS } from '../../../src/agent/page/assets.ts';

const directory = mkdtempSync(join(tmpdir(), 'weft-page-'));
let packages: readonly string[];
beforeAll(async () => {
  packages = bundledPackages([await bundlePage(directory)]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const files = () => readdirSync(directory).map((name) => readFileSync(join(directory, name)));

test('all of the page is at most 150 kB once compressed', () => {
  const bytes = files().reduce((sum, file) => sum + gzipSync(file).length, 0);
  expect(bytes).toBeLessThan(150_000);
});

test('every file is served, with the policy of the page', () => {
  const asset = openAssets(directory);
  expect(ASSET_PATHS).toHaveLength(readdirSync(directory).length);
  for (const path of ASSET_PATHS) {
    expect(asset(path)).toMatchObject({ status: 200, headers: PAGE_HEADERS });
  }
});

test('nothing in it is fetched from elsewhere, and no style or script is inline', () => {
  const text = files().join('\n').replaceAll('http://www.w3.org/', '');
  expect(text).not.toMatch(/https?:\/\/(?!\S*preactjs)/);
  expect(readFileSync(join(directory, 'page.html'), 'utf8')).not.toMatch(
    /<style|style=|<script>| on\w+=/,
  );
});

test('whose code is in it', () => {
  expect(packages).toEqual(['node_modules/htm', 'node_modules/preact']);
});
