import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/util/clock.ts';
import { readSources } from '../../support/imports.ts';

test.each([2 ** 31, 99_999_999_999_000, Number.POSITIVE_INFINITY])(
  'a delay of %d ms is not over at once',
  async (delayMs) => {
    let isOver = false;
    const cancel = systemClock.schedule(delayMs, () => {
      isOver = true;
    });
    await sleep(20);
    cancel();
    expect(isOver).toBe(false);
  },
);

/** They reckon with times that others wrote down by the clock on the wall, or show one. */
const RECKON_WITH_DATES = [
  'agent/routing/candidates.ts',
  'agent/servers.ts',
  'kube/access/exec-credential.ts',
  'kube/manifests/manifests.ts',
  'proxy/proxier.ts',
];

test('no interval is measured by a clock that somebody sets', () => {
  const reckoning =
    /lock\.now\(\) [-+<>]|[^=][-+<>]=? [\w.#]*lock\.now\(\)|now = [\w.#]*lock\.now\(\)/;
  // The page lives in a browser, which has no other.
  const sources = readSources(join(import.meta.dirname, '../../../src')).filter(
    ({ path }) => !path.startsWith('ui/'),
  );
  const pathsOf = (pattern: RegExp) =>
    sources.filter(({ text }) => pattern.test(text)).map(({ path }) => path);
  expect(pathsOf(reckoning).toSorted()).toEqual(RECKON_WITH_DATES);
  expect(pathsOf(/Date\.now\(\)/)).toEqual(['util/clock.ts']);
});
