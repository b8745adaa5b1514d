/** Nodes that have IPv6 addresses only, and between them a router that says Packet Too Big. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import type { AgentStatus } from '../../src/agent/status/values.ts';
import { Cluster, type ClusterNode, plan, WEFT_BINARY } from '../support/cluster.ts';
import { nodeManifest } from '../support/manifests.ts';
import { until } from '../support/until.ts';

/** Of the link behind the router; VXLAN over IPv6 takes 70 bytes of it. */
const NARROW = 1400;
const LOST = 70;
const clusters: Cluster[] = [];

afterAll(async () => {
  for (const cluster of clusters) await cluster.remove();
});

function status({ netns, runDir }: ClusterNode): AgentStatus {
  const { stdout } = netns.attempt(WEFT_BINARY, ['status', '--run-dir', runDir, '--json']);
  return JSON.parse(stdout);
}

function configure({ configFile }: ClusterNode, fabric: object): void {
  const config = JSON.parse(readFileSync(configFile, 'utf8'));
  writeFileSync(configFile, JSON.stringify({ ...config, fabric: { ...config.fabric, ...fabric } }));
}

const podCIDRsOf = (n: number, families: readonly number[]) =>
  plan.podCIDRs(n).filter((cidr) => families.includes(cidr.includes(':') ? 6 : 4));

/** Two nodes, one behind the router, which have these families for pods and tell of IPv6 addresses alone. */
async function start(families: readonly number[]): Promise<readonly [ClusterNode, ClusterNode]> {
  const cluster = new Cluster(2, 'pmtu', { fabric: 'auto', farNodes: [2] });
  clusters.push(cluster);
  const [near, far] = cluster.nodes as [ClusterNode, ClusterNode];
  const objects = cluster.nodes.map((node) => {
    const object = nodeManifest(node.number, node.addresses.slice(1));
    return { ...object, spec: { podCIDRs: podCIDRsOf(node.number, families) } };
  });
  for (const link of ['far-nodes', 'to-node2']) {
    cluster.router.run('ip', 'link', 'set', link, 'mtu', String(NARROW));
  }
  cluster.writeManifest('nodes.yaml', objects);
  await Promise.all(cluster.nodes.map((node) => node.startAgent()));
  return [near, far];
}

test.each([
  ['dual stack', [4, 6]],
  ['IPv6 alone', [6]],
] as const)(
  '%s: the way is found to be smaller, in each family, and told',
  async (_, families) => {
    const [near] = await start(families);
    onTestFinished(() => clusters.pop()?.remove());
    expect(status(near).fabric).toMatchObject({ mtu: 1430, peers: { vxlan: 1 } });
    const problems = await until('all ways were looked at', () => {
      const found = status(near).problems.filter((each) => each.includes('do not arrive'));
      return found.length === families.length ? found : undefined;
    });
    const told = families.map((family) =>
      expect.stringMatching(
        new RegExp(
          `node node2: packets of 1430 bytes, .* do not arrive \\(IPv${family}, by VXLAN\\), those of ` +
            `${NARROW - LOST} do: .* set fabric\\.mtu: ${NARROW - LOST}$`,
        ),
      ),
    );
    expect(problems.toSorted()).toEqual(told);
    const url = 'http://127.0.0.1:10249/metrics';
    const metrics = near.netns.run('curl', '-s', url);
    expect(metrics).toContain(`weft_fabric_paths{arrives="smaller"} ${families.length}`);
    // With the cure all is well.
    configure(near, { mtu: NARROW - LOST });
    await until('all that is sent arrives', () => {
      const { problems: left, fabric } = status(near);
      return (
        fabric?.mtu === NARROW - LOST &&
        fabric.paths['full'] === families.length &&
        left.length === 0
      );
    });
  },
  90_000,
);
