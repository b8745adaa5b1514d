/** What nobody tells the agent of is found by comparing, and put right. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UpkeepNode } from './cni-upkeep-lab.ts';

const TIMEOUT_MS = 20_000;

let node: UpkeepNode;
let address: string;
/** `nft` by the agent's own name, whose changes the agent takes for its own. */
let nftOfOwnName: string;

beforeAll(async () => {
  node = new UpkeepNode();
  const ports = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] };
  [address = ''] = node.attach(node.pod(), 'one', { runtimeConfig: ports, macspoofchk: true });
  await node.startAgent({ repairMs: 3_000 });
  const names = join(node.directory, 'names');
  mkdirSync(names);
  nftOfOwnName = join(names, node.agentName());
  copyFileSync('/usr/sbin/nft', nftOfOwnName);
}, 30_000);

afterAll(async () => {
  await node.stopAgent();
  node.remove();
});

const differences = () => node.events.reduce((sum, { differed = 0 }) => sum + differed, 0);

test('nothing differs while nothing is wrong', async () => {
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  expect(differences()).toBe(0);
});

test.each([
  {
    name: 'a masqueraded address',
    change: () => `delete element inet weft-cni masquerade-pods-ip { ${address} }`,
    kind: 'masquerade',
  },
  { name: 'the host ports', change: () => 'delete table inet weft-hostports', kind: 'hostPorts' },
  { name: 'checks of senders', change: () => 'delete table bridge weft-spoof', kind: 'guard' },
])(
  '$name',
  async ({ change, kind }) => {
    const before = node.nft('list', 'ruleset');
    const count = differences();
    const repairs = node.count('repaired', kind);
    node.host.run(nftOfOwnName, change());
    expect(node.nft('list', 'ruleset')).not.toBe(before);
    await node.until(() => node.count('repaired', kind) > repairs, TIMEOUT_MS);
    expect(differences()).toBeGreaterThan(count);
    expect(sorted(node.nft('list', 'ruleset'))).toEqual(sorted(before));
  },
  40_000,
);

test('the log tells it once', () => {
  const lines = node.log.split('\n').filter((line) => line.includes('differs from the records'));
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ what: 'masquerading', differences: 1 });
});

/** Tables come back at the end of the ruleset. */
function sorted(ruleset: string): readonly string[] {
  return ruleset.split(/^(?=table )/m).sort();
}
