/** What is inside of pods is compared with their records, and put back where that harms nobody. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestNetns } from '../support/netns.ts';
import { UpkeepNode } from './cni-upkeep-lab.ts';

const TIMEOUT_MS = 25_000;

let node: UpkeepNode;
let pod: TestNetns;
let other: TestNetns;

beforeAll(async () => {
  node = new UpkeepNode();
  pod = node.pod();
  other = node.pod();
  node.attach(pod, 'one', { mtu: 1400, isDefaultGateway: true });
  node.attach(other, 'two', { isDefaultGateway: true });
  // As a plugin behind us in the chain would: it is gone before the first look.
  other.run('ip', 'route', 'del', 'default');
  await node.startAgent({ repairMs: 3_000 });
  // Every pod was looked at, twice where it differs.
  await node.until(() => differences() > 0, TIMEOUT_MS);
  await new Promise((resolve) => setTimeout(resolve, 4_000));
}, 60_000);

afterAll(async () => {
  await node.stopAgent();
  node.remove();
});

const differences = () => node.events.reduce((sum, { differed = 0 }) => sum + differed, 0);
const inside = (of: TestNetns) =>
  ['-4', '-6'].flatMap((family) => [
    of.run('ip', '-o', family, 'addr', 'show', 'dev', 'eth0', 'scope', 'global'),
    of.run('ip', family, 'route').split('\n').sort().join('\n'),
  ]);

test('what was missing from the first look on is told once, and stays so', () => {
  expect(differences()).toBe(1);
  expect(other.run('ip', 'route', 'show', 'default')).toBe('');
  expect(node.log).toContain('two/eth0: the route to 0.0.0.0/0 via 10.22.0.1 is missing');
});

test.each([
  ['a route', ['route', 'del', 'default'], ['podRoute']],
  ['an IPv6 route', ['-6', 'route', 'del', 'default'], ['podRoute']],
  [
    'the address, and with it all routes',
    ['-4', 'addr', 'flush', 'dev', 'eth0'],
    ['podAddress', 'podRoute'],
  ],
])(
  '%s comes back',
  async (_name, change, kinds) => {
    const before = inside(pod);
    const counts = kinds.map((kind) => node.count('repaired', kind));
    const found = differences();
    pod.run('ip', ...change);
    expect(inside(pod)).not.toEqual(before);
    await node.until(
      () => kinds.every((kind, at) => node.count('repaired', kind) > (counts[at] ?? 0)),
      TIMEOUT_MS,
    );
    expect(inside(pod).map(withoutTimes)).toEqual(before.map(withoutTimes));
    expect(differences()).toBeGreaterThan(found);
  },
  60_000,
);

/** The index of an address in the kernel's list is its age. */
function withoutTimes(text: string): string {
  return text.replaceAll(/valid_lft \S+|preferred_lft \S+/g, '');
}

test('another default route and a larger MTU are told once, and left alone', async () => {
  const found = differences();
  pod.run('ip', 'link', 'set', 'eth0', 'mtu', '1500');
  pod.run('ip', 'route', 'replace', 'default', 'via', '10.22.0.9');
  await node.until(() => differences() === found + 2, TIMEOUT_MS);
  expect(pod.run('ip', 'route', 'show', 'default')).toContain('via 10.22.0.9');
  expect(pod.run('ip', 'link', 'show', 'eth0')).toContain('mtu 1500');
  // Told once: it is not counted again with every walk.
  await new Promise((resolve) => setTimeout(resolve, 8_000));
  expect(differences()).toBe(found + 2);
}, 60_000);
