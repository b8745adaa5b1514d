/** A table after a long history is the table of an Enforcer that was told the end of it only. */
import { afterEach, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { readPolicyContent } from '../support/policy-content.ts';
import { PolicyDice } from '../support/policy-dice.ts';
import { EnforcedCluster, type Enforcement } from '../support/policy-enforced.ts';
import { createEnforcer } from '../support/policy-enforcer.ts';
import { type Places, placesOf } from '../support/policy-lab.ts';

const CHANGES = Number(process.env['POLICY_CHANGES'] ?? 10_000);
const SEED = Number(process.env['POLICY_SEED'] ?? Date.now() % 1_000_000);
const CHANGES_PER_COMMIT = 25;
const PODS = 40;
const BLOCK_ROUNDS = Number(process.env['POLICY_ROUNDS'] ?? 150);

let made: TestNetns[] = [];

afterEach(() => {
  for (const netns of made) netns.remove();
  made = [];
});

/** An Enforcer of a node that has no pods but in objects. */
function enforcement(): { readonly at: TestNetns; readonly enforcer: Enforcement } {
  const at = createNetns('churn');
  made.push(at);
  return { at, enforcer: createEnforcer({ nodeName: 'n1' }, netnses.open(at.path)) };
}

function places(): Places {
  const names = Array.from({ length: PODS }, (_, i) => `x/p${i}`);
  return placesOf([names, ['y/a', 'y/b', 'y/c']]);
}

function contentOf(at: TestNetns) {
  const netns = netnses.open(at.path);
  const connection = NftablesConnection.open({ netns });
  try {
    return readPolicyContent(connection);
  } finally {
    connection.close();
    netns.close();
  }
}

/** What an Enforcer makes of the present alone. */
async function contentFromScratch(cluster: EnforcedCluster) {
  const { at, enforcer } = enforcement();
  cluster.tellAll(enforcer, 0);
  enforcer.setSynced();
  enforcer.commit();
  await enforcer.close();
  return contentOf(at);
}

test(`${CHANGES} changes of pods, labels and policies, seed ${SEED}`, {
  timeout: 600_000,
}, async () => {
  const { at, enforcer } = enforcement();
  const cluster = new EnforcedCluster(places(), [enforcer]);
  const dice = new PolicyDice(SEED, places());
  dice.fill(cluster);
  cluster.setSynced();
  for (let i = 1; i <= CHANGES; i += 1) {
    const kind = dice.below(20);
    if (kind === 0) dice.change(cluster);
    else if (kind === 1) dice.changeNamespace(cluster);
    else dice.replacePod(cluster);
    if (i % CHANGES_PER_COMMIT === 0) cluster.commit();
  }
  cluster.commit();
  const [history, present] = [contentOf(at), await contentFromScratch(cluster)];
  expect(history.answers).toEqual(present.answers);
  expect(history.sizes).toEqual(present.sizes);
  expect(present.answers.size).toBeGreaterThan(PODS);
  await cluster.close();
});

test(`ipBlocks that overlap in any way, every transaction commits, seed ${SEED}`, async () => {
  const { at, enforcer } = enforcement();
  const cluster = new EnforcedCluster(places(), [enforcer]);
  const dice = new PolicyDice(SEED, places());
  dice.fill(cluster);
  cluster.setSynced();
  for (let round = 0; round < BLOCK_ROUNDS; round += 1) {
    const blocks = () => Array.from({ length: 1 + dice.below(12) }, () => dice.ipBlock());
    cluster.putPolicy({
      kind: 'NetworkPolicy',
      metadata: { namespace: dice.pick(['x', 'y', 'z']), name: `blocks-${dice.below(5)}` },
      spec: {
        podSelector: {},
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: blocks(), ports: [{ port: 80 + dice.below(3) }] }],
        egress: [{ to: blocks() }],
      },
    });
    cluster.commit();
  }
  expect(contentOf(at)).toEqual(await contentFromScratch(cluster));
  await cluster.close();
});

test('tables of others beside ours stay as they are, and ours beside them', async () => {
  const { at, enforcer } = enforcement();
  at.run(
    'nft',
    'add table inet filter; add chain inet filter forward { type filter hook forward priority 0; policy drop; }',
  );
  at.run(
    'nft',
    'add table inet weft-policy-of-mine; add set inet weft-policy-of-mine s { type ipv4_addr; elements = { 10.0.0.1 }; }',
  );
  const foreign = () =>
    at.run('nft', 'list', 'table', 'inet', 'filter') +
    at.run('nft', 'list', 'table', 'inet', 'weft-policy-of-mine');
  const before = foreign();
  const cluster = new EnforcedCluster(places(), [enforcer]);
  const dice = new PolicyDice(SEED, places());
  dice.fill(cluster);
  cluster.setSynced();
  for (let i = 0; i < 50; i += 1) {
    dice.change(cluster);
    cluster.commit();
  }
  expect(foreign()).toBe(before);
  await cluster.close();
  expect(foreign()).toBe(before);
  expect(contentOf(at)).toEqual(await contentFromScratch(cluster));
});
