import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compile } from '../bench/compile.ts';
import {
  directLane,
  type Lane,
  layoutLane,
  modeLane,
  openLane,
  staticRuleLane,
  weftLane,
} from '../bench/proxy-lanes.ts';
import { iptablesModes, userspaceMode } from '../bench/proxy-modes.ts';

let directory: string;
let flows: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-lanes-'));
  flows = compile(directory, 'flows');
});

afterAll(() => rmSync(directory, { recursive: true }));

const lanes: readonly Lane[] = [
  directLane,
  staticRuleLane('static'),
  staticRuleLane('static, legacy', 'iptables-legacy'),
  weftLane(3),
  ...[...iptablesModes, userspaceMode].map((mode) => modeLane(mode, 3)),
  layoutLane(3),
];

test.each(lanes)('what is measured is measured on packets that arrive: $name', async (lane) => {
  const open = await openLane(lane, flows, directory);
  try {
    const words = [open.host, String(open.port), '30'];
    const [count] = open.client
      .run(flows, 'connect', ...words)
      .split(' ')
      .map(Number);
    expect(count).toBeGreaterThan(10);
    const [bytes] = open.client
      .run(flows, 'stream', ...words)
      .split(' ')
      .map(Number);
    expect(bytes).toBeGreaterThan(100_000);
  } finally {
    await open.remove();
  }
});
