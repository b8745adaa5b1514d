import { describe, expect, test } from 'vitest';
import type { NodeRecords } from '../../../src/agent/debug/lists/on-record.ts';
import type { DebugRequest } from '../../../src/agent/debug/protocol.ts';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import { runEndpoints } from '../../../src/cli/commands/endpoints.ts';
import { runIps } from '../../../src/cli/commands/ips.ts';
import { runNodes } from '../../../src/cli/commands/nodes.ts';
import { runPods } from '../../../src/cli/commands/pods.ts';
import { runServices } from '../../../src/cli/commands/services.ts';
import type { RecordEffects } from '../../../src/cli/on-record.ts';
import { IoError } from '../../../src/util/errors.ts';
import { recordOf, START_MS } from '../agent/debug/lists/facts.ts';

const RUNNERS = {
  ...{ pods: runPods, services: runServices, endpoints: runEndpoints },
  ...{ nodes: runNodes, ips: runIps },
};

/** Runs against an agent that gives one answer after the other; an error ends it. */
async function run(
  line: string,
  answers: readonly unknown[],
  overrides: Partial<RecordEffects> = {},
) {
  const asked: DebugRequest[] = [];
  const printed: string[] = [];
  const waited: number[] = [];
  const left = [...answers];
  const effects: RecordEffects = {
    runDir: '/run/default',
    askAgent: (_runDir, request) => {
      asked.push(request);
      const answer = left.shift() ?? new Error('gone');
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
    readNodeRecords: () => {
      throw new Error('no records');
    },
    clock: { now: () => START_MS, elapsed: () => 0 },
    isScreen: false,
    print: (text) => void printed.push(text),
    wait: (ms) => {
      waited.push(ms);
      return Promise.resolve();
    },
    ...overrides,
  };
  const invocation = await parseCommandLine(line.split(' '));
  if (!('flags' in invocation)) throw new Error(line);
  const runner = Object.entries(RUNNERS).find(([name]) => name === invocation.command.name)?.[1];
  const ended = await runner?.(invocation.flags, effects).catch((error: Error) => error.message);
  return { asked, printed, waited, ended };
}

const service = (name: string) => ({
  ...{ namespace: 'shop', name, isPending: false, sourceRanges: [], ports: [] },
  ...{ internalTrafficPolicy: 'Cluster', externalTrafficPolicy: 'Cluster' },
});
const pods = (...names: readonly string[]) => ({
  total: names.length,
  items: names.map((name) => ({
    ...{ namespace: 'shop', name, container: 'c', since: new Date(START_MS).toISOString() },
    interfaces: [
      { name: 'eth0', network: 'weft', addresses: [], hostInterface: 'v', isUnfinished: false },
    ],
  })),
});

describe('long lists', () => {
  test('are asked for in parts until there are no more', async () => {
    const parts = [
      { items: [service('a')], total: 2, next: 'shop/a' },
      { items: [service('b')], total: 2 },
    ];
    const { asked, printed, ended } = await run('services --namespace shop --output json', parts);
    expect(ended).toBe(0);
    expect(asked).toEqual([
      { command: 'services', namespace: 'shop' },
      { command: 'services', namespace: 'shop', after: 'shop/a' },
    ]);
    expect(JSON.parse(printed.join(''))).toEqual({
      ...{ items: [service('a'), service('b')], total: 2 },
    });
  });

  test('--limit ends them, and says how many there are', async () => {
    const parts = [{ items: [service('a'), service('b')], total: 9, next: 'shop/b' }];
    const { asked, printed } = await run('services --limit 2', parts);
    expect(asked).toEqual([{ command: 'services', limit: 2 }]);
    expect(printed.join('')).toMatch(/2 of 9 Services\n$/);
  });
});

test('a name asks for one Service in full', async () => {
  const detail = { ...service('web'), endpoints: [] };
  const { asked, printed } = await run('services shop/web', [detail]);
  expect(asked).toEqual([{ command: 'service', name: 'shop/web' }]);
  expect(printed.join('')).toMatch(/^Service shop\/web\n/);
});

test('names let no escape sequences through', async () => {
  const { printed } = await run('pods', [pods('\u001b[2Jweb')]);
  expect(printed.join('')).toContain('shop/?[2Jweb');
});

describe('--watch', () => {
  test('prints again what differs, until the agent is gone', async () => {
    const answers = [pods('a'), pods('a'), pods('a', 'b')];
    const { printed, waited, ended } = await run('pods --watch --interval 1s', answers);
    expect(printed).toHaveLength(2);
    expect(printed[1]).toContain('shop/b');
    expect(waited).toEqual([1000, 1000, 1000]);
    expect(ended).toBe('gone');
  });

  test('redraws a terminal, and prints JSON a line each', async () => {
    const answers = [pods('a'), pods('b')];
    const terminal = await run('pods --watch', answers, { isScreen: true });
    const heads = terminal.printed.map((text) => text.slice(0, text.indexOf('POD')));
    expect(heads).toEqual(['\u001b[2J\u001b[H\u001b[J', '\u001b[H\u001b[J']);
    const json = await run('pods --watch --output json', answers, { isScreen: true });
    expect(json.printed.map((line) => JSON.parse(line))).toEqual(answers);
  });

  test('rests longer where an answer takes long', async () => {
    let atMs = 0;
    const elapsed = () => {
      atMs += 700;
      return atMs;
    };
    const clock = { now: () => START_MS, elapsed };
    const { waited } = await run('pods --watch', [pods('a')], { clock });
    expect(waited[0]).toBeGreaterThanOrEqual(7_000);
  });
});

describe('without an agent', () => {
  const records: NodeRecords = {
    ...{ records: [recordOf('c1', 'shop/web', ['10.0.0.2'])], unfinished: [], stores: [] },
    past: [],
  };
  const nobody = new IoError('nobody answers');

  test.each(['pods', 'ips'])('%s are those on record', async (command) => {
    const { printed, ended } = await run(command, [nobody], {
      readNodeRecords: async () => records,
    });
    expect(ended).toBe(0);
    expect(printed.join('')).toMatch(
      /shop\/web[^\n]*\nno agent answers: this is what its records say\n$/,
    );
    expect((await run(command, [nobody])).ended).toBe('nobody answers');
  });

  test('others are the agent alone', async () => {
    expect((await run('nodes', [nobody], { readNodeRecords: async () => records })).ended).toBe(
      'nobody answers',
    );
  });
});

test.each([
  ['pods --output yaml', '--output: expected text, wide or json, found "yaml"'],
  ['pods --interval 2s', '--interval says how often --watch looks; add --watch'],
  ['pods --watch --interval 1ms', '--interval: expected a duration from 500ms to 1h, found "1ms"'],
  ['services --limit 0', '--limit: expected a number from 1 to 999999, found "0"'],
])('%s is refused', async (line, message) => {
  expect((await run(line, [])).ended).toBe(message);
});

test('left-out endpoints and addresses held are asked for', async () => {
  const none = { items: [], total: 0 };
  expect((await run('endpoints web --left-out', [none])).asked).toEqual([
    { command: 'endpoints', name: 'web', isLeftOutOnly: true },
  ]);
  expect((await run('ips --held', [none])).asked).toEqual([{ command: 'ips', isHeldOnly: true }]);
});
