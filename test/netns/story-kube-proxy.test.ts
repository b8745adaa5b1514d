/**
 * docs/migrate.md, "From kube-proxy" and "One node at a time": the page's own commands, under connections to a
 * Service. kube-proxy is what it leaves in the kernel, and a program that has its ports.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { benchNode, fullSync } from '../bench/kube-proxy-layout.ts';
import { plan } from '../support/cluster.ts';
import { serviceManifest, sliceManifests } from '../support/manifests.ts';
import type { TestNetns } from '../support/netns.ts';
import { pageCommands } from '../support/page-commands.ts';
import { createForeignPod } from '../support/stories/foreign-pod.ts';
import { StoryCluster, type StoryNode } from '../support/stories/story-cluster.ts';
import { until } from '../support/until.ts';
import { type RunningProgram, repeatedSyns, startIn, startServer } from '../support/workloads.ts';

const PAGE = 'docs/migrate.md';
const OPENER = new URL('../support/workloads/opener.ts', import.meta.url).pathname;
const PORTS = new URL('../support/workloads/health-ports.ts', import.meta.url).pathname;
const VIP = '10.96.0.80';
const WEB = { name: 'web', clusterIPs: [VIP], port: 80 };
const SERVER_PORT = 8080;

let story: StoryCluster;
const pods = new Map<StoryNode, TestNetns>();
const servers: RunningProgram[] = [];

beforeAll(async () => {
  story = await StoryCluster.create('kp', { nodeCount: 2 });
  for (const on of story.nodes) {
    const pod = createForeignPod(on.node);
    pods.set(on, pod);
    servers.push(await startServer(pod.path, `pod-${on.node.name}`, SERVER_PORT));
  }
  story.put('services', serviceManifest(WEB));
  story.put('servicecidrs', {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'ServiceCIDR',
    metadata: { name: 'kubernetes' },
    spec: { cidrs: ['10.96.0.0/12'] },
  });
  for (const each of slices()) story.put('endpointslices', each);
}, 60_000);

afterAll(async () => {
  for (const server of servers) await server.end('SIGKILL');
  for (const pod of pods.values()) pod.remove();
  await story?.remove();
});

/** A cluster in which kube-proxy serves on all nodes. */
beforeEach(async () => {
  for (const name of [...story.daemonSets.keys()]) {
    const [namespace, daemonSet] = name.split('/');
    await story.run(`kubectl -n ${namespace} delete daemonset ${daemonSet}`);
  }
  for (const on of story.nodes) {
    on.labels = {};
    on.files.run('rm -rf /run/weft /var/lib/weft && mkdir /run/weft /var/lib/weft');
    for (const table of tablesOf(on))
      on.node.netns.run('nft', 'delete', 'table', ...table.split(' '));
  }
  story.daemonSets.set('kube-system/kube-proxy', { selector: {}, start: startKubeProxy });
  await story.place();
});

function slices() {
  const endpoints = story.nodes.map(({ node }) => {
    return { addresses: [podAddress(node.number)], nodeName: node.name };
  });
  return sliceManifests(WEB, SERVER_PORT, endpoints);
}

const podAddress = (n: number) => plan.podCIDRs(n)[0].replace(/0\/24$/, '9');

async function startKubeProxy({ node }: StoryNode) {
  const rules = fullSync([{ service: serviceManifest(WEB), slices: slices() } as never], {
    ...benchNode,
    ...{ nodeName: node.name, nodeIP: node.addresses[0] },
    ...{ podCIDR: '10.244.0.0/16', serviceCIDR: '10.96.0.0/12' },
  });
  // A later sync puts what is there anew.
  node.netns.start('nft', ['-f', '-']).stdin?.end(rules);
  await until(
    'its rules are there',
    () => node.netns.attempt('nft', ['list', 'table', 'ip', 'kube-proxy']).status === 0,
  );
  const program = await startIn(
    node.netns.path,
    [process.execPath, PORTS, '10256', '10249'],
    'ready',
  );
  const end = async () => void (await program.end());
  return { labels: {}, isReady: () => true, log: () => program.output(), end };
}

const tablesOf = ({ node }: StoryNode): readonly string[] =>
  node.netns
    .run('nft', 'list', 'tables')
    .split('\n')
    .flatMap((line) => /^table (.*)$/.exec(line)?.[1] ?? []);

interface Opening {
  /** Ends them and expects that each was answered, at its first SYN. */
  end(): Promise<void>;
}

/** Connections to the Service from a pod of each node, all the time. */
async function openConnections(): Promise<Opening> {
  const openers = await Promise.all(
    [...pods.values()].map(async (pod) => {
      const words = [process.execPath, OPENER, VIP, '80', '10', 'tcp', '20000'];
      const repeated = repeatedSyns(pod);
      return { pod, repeated, opener: await startIn(pod.path, words, 'ready\n') };
    }),
  );
  return {
    async end() {
      for (const { pod, repeated, opener } of openers) {
        await opener.end('SIGTERM');
        expect(opener.output()).not.toContain('failed');
        expect(Number(/answered (\d+)/.exec(opener.output())?.[1])).toBeGreaterThan(100);
        expect(repeatedSyns(pod) - repeated).toBe(0);
      }
    },
  };
}

const isServedBy = (on: StoryNode, table: string) => tablesOf(on).includes(`ip ${table}`);

describe('from kube-proxy, by the commands of the page', () => {
  test('all nodes at once', async () => {
    const commands = pageCommands(PAGE, 'From kube-proxy');
    expect(commands.length).toBe(5);
    const opening = await openConnections();
    for (const command of commands) {
      // It is told within moments, and a person would ask again.
      if (command.includes('| grep')) await until(command, () => story.run(command));
      else await story.run(command);
    }
    for (const on of story.nodes) {
      await until('the rules of kube-proxy are gone', () => !isServedBy(on, 'kube-proxy'));
      expect(isServedBy(on, 'weft-proxy')).toBe(true);
    }
    await opening.end();
  }, 120_000);

  test('one node at a time, and each half for as long as one likes', async () => {
    const commands = pageCommands(PAGE, 'One node at a time').slice(0, 6);
    const move = commands.findIndex((command) => command.includes('NODE '));
    const opening = await openConnections();
    for (const command of commands.slice(0, move)) await story.run(command);
    const [first, second] = story.nodes;
    if (first === undefined || second === undefined) throw new Error('two nodes');
    expect([first, second].map((on) => isServedBy(on, 'weft-proxy'))).toEqual([false, false]);

    const moveNode = async (name: string) => {
      for (const command of commands.slice(move)) await story.run(command.replace('NODE', name));
    };
    await moveNode(first.node.name);
    await until('the first has no kube-proxy', () => !isServedBy(first, 'kube-proxy'));
    expect([first, second].map((on) => isServedBy(on, 'weft-proxy'))).toEqual([true, false]);
    expect(isServedBy(second, 'kube-proxy')).toBe(true);

    await moveNode(second.node.name);
    await until('nor has the second', () => !isServedBy(second, 'kube-proxy'));
    await opening.end();
  }, 120_000);
});
