import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { allocate } from '../../../src/ipam/allocate.ts';
import { buildRangeSets } from '../../../src/ipam/range-config.ts';
import { wire } from '../../../src/netlink/wire.ts';
import {
  filesOf,
  openStore,
  owner,
  REFERENCE,
  referenceCall,
  runReference,
  temporaryDataDirectory,
} from './support.ts';

const script = join(import.meta.dirname, 'allocating-process.ts');
const hasReference = existsSync(REFERENCE);
const ipam = { subnet: '10.0.0.0/24' };

interface Running {
  readonly child: ChildProcess;
  readonly output: () => string;
}

function watch(child: ChildProcess): Running {
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  return { child, output: () => text };
}

async function start(
  directory: string,
  prefix: string,
  count: number,
  mode: string,
): Promise<Running> {
  const args = [script, directory, prefix, String(count), mode];
  const running = watch(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }));
  await once(running.child.stdout ?? running.child, 'data');
  return running;
}

function startReference(dataDirectory: string, id: string): Running {
  const { env, input } = referenceCall('ADD', id, dataDirectory, ipam);
  const running = watch(spawn(REFERENCE, { env, stdio: ['pipe', 'pipe', 'inherit'] }));
  running.child.stdin?.end(input);
  return running;
}

test('[117] 200 parallel allocations by five processes and the reference are unique', async () => {
  const data = temporaryDataDirectory();
  const directory = join(data, 'n');
  mkdirSync(directory);
  // Held until all are at the line, so that they really run into each other.
  const gate = openSync(join(directory, 'lock'), 'a');
  expect(wire.flock(gate, 'exclusive')).toBe(true);
  const ours = await Promise.all(
    ['a', 'b', 'c', 'd'].map((id) => start(directory, id, 45, 'keep')),
  );
  const theirs = Array.from({ length: hasReference ? 20 : 0 }, (_, index) =>
    startReference(data, `r${index}`),
  );
  const ended = [...ours, ...theirs].map(({ child }) => once(child, 'close'));
  closeSync(gate);
  const codes = (await Promise.all(ended)).map(([code]) => code);
  expect(new Set(codes)).toEqual(new Set([0]));
  const output = [...ours, ...theirs].map((running) => running.output()).join('\n');
  const given = output.match(/10\.0\.0\.\d+\/24/g) ?? [];
  const count = 180 + theirs.length;
  expect(given).toHaveLength(count);
  expect(new Set(given).size).toBe(count);
  expect(openStore(directory).list()).toHaveLength(count);
}, 60_000);

test('[117] SIGKILL at any instant leaves a store that all can go on with', async () => {
  const data = temporaryDataDirectory();
  const directory = join(data, 'n');
  const store = openStore(directory);
  const leftovers: number[] = [];
  for (const [round, delayMs] of [0, 1, 2, 3, 5, 7, 11, 13, 17, 23].entries()) {
    const { child } = await start(directory, `k${round}-`, 1_000_000, 'churn');
    await sleep(delayMs);
    child.kill('SIGKILL');
    await once(child, 'close');
    // Every address file is whole at every instant, also before anybody repairs.
    const files = existsSync(directory) ? filesOf(directory) : {};
    for (const [name, text] of Object.entries(files)) {
      if (name.startsWith('10.')) expect(text).toMatch(/^(k\d+-|after|reference)\d+\r\neth0$/);
    }
    leftovers.push(store.list().length);
    expect(
      existsSync(directory) ? readdirSync(directory).filter((name) => name.startsWith('.')) : [],
    ).toEqual([]);
    allocate(buildRangeSets('1.0.0', ipam), store, owner(`after${round}`));
    if (hasReference) {
      expect(runReference('ADD', `reference${round}`, data, ipam)).toMatchObject({ status: 0 });
    }
  }
  // A killed process leaves at most the one address it was about to release.
  const perRound = hasReference ? 2 : 1;
  leftovers.forEach((count, round) => {
    expect(count).toBeLessThanOrEqual(round + 1 + round * perRound);
    expect(count).toBeGreaterThanOrEqual(round * perRound);
  });
}, 60_000);
