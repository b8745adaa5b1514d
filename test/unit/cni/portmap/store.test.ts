import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { attachmentKey } from '../../../../src/cni/attachment.ts';
import type { HostPort, HostPortRecord, HostPortStore } from '../../../../src/cni/host-ports.ts';
import { overlaps } from '../../../../src/cni/portmap/record.ts';
import { decodeRecord } from '../../../../src/cni/portmap/record-json.ts';
import { openHostPortStore } from '../../../../src/cni/portmap/store.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';

let directory: string;
let store: HostPortStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-store-'));
  store = openHostPortStore(directory, { flock: () => true, timeoutMs: 100 });
});
afterEach(() => rmSync(directory, { recursive: true }));

const port = (number: number, address?: string): HostPort => {
  const to = { target: parseIP('10.0.0.2'), targetPort: 80 };
  const from = { family: 4, protocol: 'tcp', port: number } as const;
  return address === undefined ? { ...from, ...to } : { ...from, address: parseIP(address), ...to };
};

const record = (id: string, ports: readonly HostPort[]): HostPortRecord => ({
  attachment: { network: 'net', containerId: id, ifName: 'eth0' },
  pod: `default/${id}`,
  ports,
  pods: [{ address: parseIP('10.0.0.2'), subnet: parseCidr('10.0.0.0/24') }],
  masquerade: 'subnet',
  loopbackLink: 'cni0',
});

const files = () => ['records', 'claims'].flatMap((name) => readdirSync(join(directory, name)));

test('a record comes back as it was, and nothing stays of a removed one', () => {
  const a = record('a', [port(80), port(81, '192.168.0.1')]);
  store.locked((ledger) => ledger.add(a));
  expect([store.record(a.attachment), store.records()]).toEqual([a, [a]]);
  expect(store.locked((ledger) => ledger.owned(a))).toEqual(a);
  store.locked((ledger) => ledger.remove(a));
  expect([store.record(a.attachment), store.records(), files()]).toEqual([undefined, [], []]);
});

test('what a killed writer left goes with the next lock, and is told until then', () => {
  store.locked((ledger) => ledger.add(record('a', [port(80)])));
  expect(store.isUnfinished()).toBe(false);
  writeFileSync(join(directory, 'unfinished'), '{"attachm');
  expect(store.isUnfinished()).toBe(true);
  store.locked(() => undefined);
  expect(store.isUnfinished()).toBe(false);
});

test.each([
  { mine: port(80), theirs: port(80), want: true },
  { mine: port(80, '192.168.0.1'), theirs: port(80), want: true },
  { mine: port(80), theirs: port(80, '192.168.0.1'), want: true },
  { mine: port(80, '192.168.0.1'), theirs: port(80, '192.168.0.1'), want: true },
  { mine: port(80, '192.168.0.1'), theirs: port(80, '192.168.0.2'), want: false },
  { mine: port(80), theirs: port(81), want: false },
  { mine: port(80), theirs: { ...port(80), protocol: 'udp' as const }, want: false },
  {
    mine: port(80),
    theirs: { ...port(80), family: 6 as const, target: parseIP('fd00::2') },
    want: false,
  },
])(
  'conflict of $mine.address:$mine.port with $theirs.address:$theirs.port: $want',
  ({ mine, theirs, want }) => {
    const owner = record('owner', [theirs]);
    const conflict = store.locked((ledger) => {
      ledger.add(owner);
      return ledger.conflict(record('other', [mine]));
    });
    expect(conflict).toEqual(want ? { port: mine, owner } : undefined);
    expect(store.locked((ledger) => ledger.conflict(owner))).toBeUndefined();
  },
);

test('a claim whose record is gone is no conflict and is replaced', () => {
  const [dead, young] = [record('dead', [port(80)]), record('young', [port(80)])];
  store.locked((ledger) => ledger.add(dead));
  rmSync(join(directory, 'records', attachmentKey(dead.attachment)));
  store.locked((ledger) => {
    expect(ledger.conflict(young)).toBeUndefined();
    ledger.add(young);
    expect([ledger.owned(young).ports, ledger.owned(dead).ports]).toEqual([[port(80)], []]);
  });
});

test('what a process that was killed while it wrote a record has left goes with the record', () => {
  const a = record('a', [port(80), port(81)]);
  store.locked((ledger) => ledger.add(a));
  rmSync(join(directory, 'claims', '4-tcp-81'));
  store.locked((ledger) => {
    expect(ledger.owned(a).ports).toEqual([port(80)]);
    ledger.remove(a);
  });
  expect(files()).toEqual([]);
});

test.each([
  '',
  'null',
  '[]',
  '{}',
  '{"attachment":{}}',
  '{"attachment":{"network":"n","containerId":"c","ifName":"i"},"ports":[{}],"pods":[],"masquerade":"none"}',
  '{"attachment":{"network":"n","containerId":"c","ifName":"i"},"ports":[],"pods":[],"masquerade":"some"}',
])('%s is no record', (text) => {
  expect(decodeRecord(text)).toBeUndefined();
});

test('a record under another name is none', () => {
  const a = record('a', [port(80)]);
  store.locked((ledger) => ledger.add(a));
  writeFileSync(join(directory, 'records', 'copy'), JSON.stringify(a));
  expect(store.records()).toEqual([a]);
});

test('whatever is added and removed, no two records have one port, and each has all of its own', () => {
  const ports = fc.uniqueArray(
    fc.record({ number: fc.integer({ min: 80, max: 82 }), host: fc.integer({ min: 0, max: 2 }) }),
    { selector: ({ number, host }) => `${number} ${host}`, minLength: 1, maxLength: 3 },
  );
  const step = fc.record({ id: fc.constantFrom('a', 'b', 'c'), isAdd: fc.boolean(), ports });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      rmSync(directory, { recursive: true, force: true });
      for (const { id, isAdd, ports: wanted } of steps) {
        const next = record(
          id,
          wanted.map(({ number, host }) =>
            port(number, host === 0 ? undefined : `192.168.0.${host}`),
          ),
        );
        store.locked((ledger) => {
          const present = store.record(next.attachment);
          if (present !== undefined) ledger.remove(present);
          if (isAdd && ledger.conflict(next) === undefined) ledger.add(next);
        });
      }
      const records = store.records();
      for (const one of records) {
        expect(store.locked((ledger) => ledger.owned(one)).ports).toEqual(one.ports);
        const others = records.filter((other) => other !== one).flatMap((other) => other.ports);
        const clash = one.ports.some((a) =>
          others.some((b) => a.port === b.port && overlaps(a, b)),
        );
        expect(clash).toBe(false);
      }
      store.locked((ledger) => {
        for (const one of records) ledger.remove(one);
      });
      expect(files()).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

test('of processes that want one port at once, one at a time has it', async () => {
  const program = new URL('../../../support/portmap-claimant.ts', import.meta.url).pathname;
  const run = promisify(execFile);
  const outputs = await Promise.all(
    ['a', 'b', 'c'].map((id) => run(process.execPath, [program, directory, id, '80', '300'])),
  );
  const counts: { wins: number; clashes: number }[] = outputs.map(({ stdout }) =>
    JSON.parse(stdout),
  );
  expect(counts.map(({ clashes }) => clashes)).toEqual([0, 0, 0]);
  expect(counts.some(({ wins }) => wins > 0)).toBe(true);
  expect(files()).toEqual([]);
});

test('one port under different conditions has two owners, under none or the same it has one', () => {
  const under = (id: string, condition?: string) =>
    record(id, [condition === undefined ? port(80) : { ...port(80), condition }]);
  const [a, b] = [under('a', 'ip saddr 10.0.0.1'), under('b', 'ip saddr 10.0.0.2')];
  store.locked((ledger) => {
    ledger.add(a);
    expect(ledger.conflict(b)).toBeUndefined();
    ledger.add(b);
    expect(ledger.conflict(under('c', 'ip saddr 10.0.0.1'))?.owner).toEqual(a);
    expect(ledger.conflict(under('c'))?.owner).toEqual(a);
    expect([a, b].map((each) => ledger.owned(each).ports)).toEqual([a.ports, b.ports]);
    ledger.remove(a);
    expect(ledger.conflict(under('c', 'ip saddr 10.0.0.1'))).toBeUndefined();
    expect(ledger.conflict(under('c'))?.owner).toEqual(b);
  });
});
