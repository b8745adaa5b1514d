import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { measureCold } from '../bench/fabric-cold.ts';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
});

afterAll(() => rmSync(directory, { recursive: true }));

test('what is measured is in the kernel: peers, by hand too, and each event', async () => {
  const row = await measureCold({ directory, peers: 20, events: 3, rounds: 1 });
  // A neighbour, a forwarding entry and a route of each family; by hand there are as many, or it throws.
  expect(row).toMatchObject({ peers: 20, entries: 80, secondWrites: 0 });
  for (const ms of [row.completeMs, row.byHandMs, row.secondMs, row.eventMs]) {
    expect(ms).toBeGreaterThan(0);
  }
});
