/** Table `inet weft-policy` in the kernel: its listing, its life, and what it does to packets. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PolicyChange } from '../../src/policy/change.ts';
import { createNetns } from '../support/netns.ts';
import {
  labFacts,
  type OpenedEnforcer,
  openEnforcer,
  policyChange,
} from '../support/policy-enforcer.ts';
import { createPolicyLab, type PolicyLab } from '../support/policy-lab.ts';
import { matrix, mismatches, type Question } from '../support/policy-matrix.ts';
import { OWN_NODE, Random, randomChange, randomCluster } from '../support/policy-random.ts';

const GOLDEN = new URL('../golden/policy/table.nft', import.meta.url);
const PORTS = [80, 81];
const PROTOCOLS = ['TCP', 'UDP', 'SCTP', 'ICMP'] as const;

let lab: PolicyLab;
let opened: OpenedEnforcer[];

beforeAll(async () => {
  lab = await createPolicyLab({
    pods: [
      ['x/a', 'x/b'],
      ['y/a', 'y/b'],
    ],
    ports: PORTS,
  });
}, 60_000);
afterAll(() => lab?.remove());

beforeEach(() => {
  opened = lab.nodes.map((node, i) => open(node.nodeName, i));
});

afterEach(async () => {
  for (const { close } of opened) await close();
  for (const { netns } of lab.nodes) {
    netns.run('nft', 'flush', 'ruleset');
    netns.run('conntrack', '-F');
  }
});

function open(nodeName: string, i: number): OpenedEnforcer {
  const netns = lab.nodes[i]?.netns;
  if (netns === undefined) throw new Error(`no node ${i}`);
  const made = openEnforcer(netns, nodeName);
  for (const change of labFacts(lab, i)) made.enforcer.apply(change);
  return made;
}

function tell(...changes: readonly PolicyChange[]): void {
  for (const { enforcer } of opened) {
    for (const change of changes) enforcer.apply(change);
    enforcer.setSynced();
    enforcer.commit();
  }
}

const at = (i: number) => {
  const found = opened[i];
  if (found === undefined) throw new Error(`no enforcer ${i}`);
  return found.enforcer;
};
const run = (...words: readonly [string, ...string[]]) => lab.nodes[1]?.netns.run(...words) ?? '';
const list = () => run('nft', 'list', 'table', 'inet', 'weft-policy');

/** Whoever asks, y/a is reached by pods of x at port 80 over TCP. */
const WEB = policyChange(`{kind: NetworkPolicy, metadata: {namespace: y, name: web}, spec: {
  podSelector: {matchLabels: {pod: a}},
  ingress: [{from: [{namespaceSelector: {matchLabels: {name: x}}}], ports: [{port: 80}]}]}}`);

function everything(): readonly Question[] {
  const { pods, nodes, outside } = lab;
  const from = [...pods, ...nodes, outside];
  return matrix({ from, to: pods, ports: PORTS, protocols: PROTOCOLS });
}

const allowedByWeb = ({ from, to, protocol, port }: Question) =>
  to.name !== 'y/a' ||
  ['y/a', 'node/n2'].includes(from.name) ||
  (from.name.startsWith('x/') && protocol === 'TCP' && port === 80);

describe('packets', () => {
  test('pass as one policy says, in both families', async () => {
    tell(WEB);
    expect(await mismatches(lab, everything(), { isAllowed: allowedByWeb })).toEqual([]);
    tell({ kind: 'networkPolicy', key: 'y/web' });
    expect(await mismatches(lab, everything(), { isAllowed: () => true })).toEqual([]);
  });

  test('connections that are not allowed any more get nothing through', async () => {
    tell(WEB);
    const [a, , to] = lab.pods;
    if (a === undefined || to === undefined) throw new Error('no pods');
    tell(
      policyChange(`{kind: NetworkPolicy, metadata: {namespace: y, name: web}, spec: {
        podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {}}]}]}}`),
    );
    for (const protocol of ['TCP', 'UDP'] as const) {
      lab.sockets.openStream({ from: a.index, protocol, host: to.ips[4], port: 80 });
      lab.sockets.openStream({ from: a.index, protocol, host: to.ips[6], port: 80 });
    }
    const bytes = async () => (await lab.sockets.streams()).map((stream) => stream.bytes);
    await expect.poll(async () => (await bytes()).every((count) => count > 1000)).toBe(true);
    tell(
      policyChange(`{kind: NetworkPolicy, metadata: {namespace: y, name: web}, spec: {
        podSelector: {matchLabels: {pod: a}}, ingress: []}}`),
    );
    const before = await bytes();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await bytes()).toEqual(before);
  });
});

describe('in the kernel', () => {
  test('its listing is the golden one, and loads', () => {
    tell(WEB);
    const text = list().replace(/ [0-9a-f]{8}"/, ' DIGEST"');
    if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(GOLDEN, text);
    expect(text).toBe(readFileSync(GOLDEN, 'utf8'));
    const directory = mkdtempSync(join(tmpdir(), 'weft-policy-table-'));
    const file = join(directory, 'table.nft');
    writeFileSync(file, list());
    lab.pods[0]?.netns.run('nft', '--check', '--file', file);
    rmSync(directory, { recursive: true });
  });

  test('denied packets go to the group that is named, so many a second', async () => {
    const netns = createNetns('p-log');
    const node = openEnforcer(netns, 'n1', { logGroup: 9_338 });
    node.enforcer.setSynced();
    node.enforcer.commit();
    const listed = netns.run('nft', 'list', 'table', 'inet', 'weft-policy');
    for (const direction of ['egress', 'ingress']) {
      // Each sender of a family has two of sixteen.
      const limited = 'limit rate 2/second burst 8 packets';
      const told = `log prefix "weft-policy ${direction}" group 9338 snaplen 128 return`;
      const rules = listed.split('\n').filter((line) => line.endsWith(`${limited} ${told}`));
      expect(rules).toHaveLength(2 * 16);
      expect(rules.filter((line) => /jhash \S+ mod 8 seed 0x\w+ 0 /.test(line))).toHaveLength(
        2 * 2,
      );
    }
    // What is listed can be loaded.
    const file = join(mkdtempSync(join(tmpdir(), 'wt-nft-')), 'table.nft');
    writeFileSync(file, listed);
    netns.run('nft', '--check', '--file', file);
    rmSync(dirname(file), { recursive: true });
    await node.close();
    netns.remove();
  });

  test('a restart adopts it without a word', async () => {
    tell(WEB);
    const before = list();
    const next = open('n2', 1);
    next.enforcer.apply(WEB);
    const number = next.nftGeneration();
    next.enforcer.commit();
    next.enforcer.setSynced();
    next.enforcer.commit();
    expect(next.nftGeneration()).toBe(number);
    expect(next.enforcer.report.generation).toBe(at(1).report.generation);
    expect(list()).toBe(before);
    await next.close();
  });

  test('a table of before is replaced, with a generation that none of its connections has', () => {
    run('nft', 'add table inet weft-policy; add chain inet weft-policy generation-check');
    const current = 'ct mark and 0xffff0000 == 0x01230000 accept comment "generation 291"';
    run('nft', `add rule inet weft-policy generation-check ${current}`);
    tell(WEB);
    expect(at(1).report).toMatchObject({ generation: 512, error: undefined, repairs: 0 });
    expect(list()).not.toContain('generation-check');
    expect(list()).toContain('elements = { 0x02000000 }');
  });

  test('before all is known nothing is taken out, and without a table none is made', () => {
    const commit = () => at(1).commit();
    commit();
    expect(run('nft', 'list', 'tables')).toBe('');
    tell(WEB);
    expect(at(1).report).toMatchObject({ subjects: 1, policies: 1, error: undefined });
  });

  test.each([
    { what: 'the table', command: 'delete table inet weft-policy' },
    { what: 'a rule', command: 'flush chain inet weft-policy judge-ip' },
    { what: 'the generation', command: 'flush set inet weft-policy generations' },
    { what: 'the stamp', command: 'flush chain inet weft-policy generation-stamp' },
    { what: 'elements', command: 'flush map inet weft-policy subjects-ingress-ip' },
    { what: 'the hook', command: 'add table inet weft-policy { flags dormant; }' },
    { what: 'another chain', command: 'add chain inet weft-policy foreign' },
  ])('$what, changed by somebody else, is put right', async ({ command }) => {
    tell(WEB);
    run('nft', command);
    await expect
      .poll(() => at(1).report, { timeout: 10_000 })
      .toMatchObject({ repairs: 1, error: undefined });
    expect(await mismatches(lab, everything(), { isAllowed: allowedByWeb })).toEqual([]);
    expect(list()).not.toContain('foreign');
  });

  test('only what takes something away comes with another generation', () => {
    tell(WEB);
    const { report } = at(1);
    tell(
      policyChange(`{kind: NetworkPolicy, metadata: {namespace: y, name: more}, spec: {
        podSelector: {matchLabels: {pod: b}}, ingress: [{}]}}`),
    );
    const more = at(1).report.generation ?? 0;
    expect(more).toBeGreaterThan(report.generation ?? 0);
    const next = structuredClone(WEB);
    tell({ kind: 'networkPolicy', key: 'y/more' });
    expect(at(1).report.generation).toBe(more);
    tell(next);
    expect(at(1).report.generation).toBe(more);
  });

  test('packets are counted for the policy that decides, whatever else changes', async () => {
    tell(WEB);
    const questions = everything().filter(
      ({ to, protocol }) => to.name === 'y/a' && protocol === 'UDP',
    );
    expect(await mismatches(lab, questions, { isAllowed: allowedByWeb })).toEqual([]);
    const counted = await at(1).counters();
    expect(counted.map(({ policy, direction }) => [policy, direction])).toEqual([
      ['y/web', 'ingress'],
    ]);
    expect(counted[0]?.denied).toBeGreaterThan(10);
    tell(
      policyChange(`{kind: NetworkPolicy, metadata: {namespace: y, name: b}, spec: {
        podSelector: {matchLabels: {pod: b}}, ingress: [{ports: [{port: 1}]}]}}`),
    );
    const again = (await at(1).counters()).find(({ policy }) => policy === 'y/web');
    expect(again?.denied).toBeGreaterThanOrEqual(counted[0]?.denied ?? 0);
  });

  test('clusters at random: each change commits, and the kernel holds what it is to hold', async () => {
    let narrowed = 0;
    for (let seed = 1; seed <= 6; seed++) {
      const random = new Random(seed);
      const netns = createNetns('p-random');
      const node = openEnforcer(netns, OWN_NODE);
      const { enforcer } = node;
      try {
        for (const change of randomCluster(random)) enforcer.apply(change);
        enforcer.setSynced();
        enforcer.commit();
        for (let i = 0; i < 60; i++) {
          const before = enforcer.report.generation ?? 0;
          for (const change of randomChange(random)) enforcer.apply(change);
          enforcer.commit();
          if ((enforcer.report.generation ?? 0) > before) narrowed++;
          const [part] = i % 10 === 9 ? enforcer.auditedParts() : [];
          if (part !== undefined) expect(await part.look(), `seed ${seed}, change ${i}`).toBe(0);
        }
        expect(enforcer.report).toMatchObject({ repairs: 0, error: undefined });
      } finally {
        await node.close();
        netns.remove();
      }
    }
    expect(narrowed).toBeGreaterThan(20);
  }, 60_000);
});
