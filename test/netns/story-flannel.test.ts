/**
 * docs/migrate.md, "From flannel" and "One node at a time": the page's own commands, under pings between pods. Of
 * flannel there is what its back end host-gw and its network configuration leave on a node.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TestNetns } from '../support/netns.ts';
import { pageCommands } from '../support/page-commands.ts';
import { createForeignPod, foreignAddresses } from '../support/stories/foreign-pod.ts';
import { type StartedPod, startPod } from '../support/stories/node-pods.ts';
import { startPinging } from '../support/stories/pinging.ts';
import { StoryCluster, type StoryNode } from '../support/stories/story-cluster.ts';

const PAGE = 'docs/migrate.md';
const FLANNEL_LIST = {
  ...{ cniVersion: '0.3.1', name: 'cbr0' },
  plugins: [{ type: 'flannel', delegate: { hairpinMode: true, isDefaultGateway: true } }],
};

let story: StoryCluster;
/** Of each node one, until the node is drained. */
let old: Map<StoryNode, TestNetns>;
let fresh: Map<StoryNode, StartedPod>;

beforeEach(async () => {
  [old, fresh] = [new Map(), new Map()];
  story = await StoryCluster.create('fl', {
    ...{ nodeCount: 3, onDrain: endOldPod, onUncordon: startNewPod },
  });
  for (const on of story.nodes) {
    old.set(on, createForeignPod(on.node));
    on.files.run('cat >/etc/cni/net.d/10-flannel.conflist', {
      input: JSON.stringify(FLANNEL_LIST),
    });
  }
  story.daemonSets.set('kube-flannel/kube-flannel-ds', {
    selector: {},
    start: () => ({ labels: {}, isReady: () => true, log: () => '', end: async () => {} }),
  });
  await story.place();
}, 60_000);

afterEach(async () => {
  for (const pod of old.values()) pod.remove();
  await story?.remove();
});

async function startNewPod(on: StoryNode): Promise<void> {
  const pod = await startPod(on, `new-${on.node.name}`);
  expect(pod.list).toBe('10-weft.conflist');
  fresh.set(on, pod);
}

function endOldPod(on: StoryNode): void {
  old.get(on)?.remove();
  old.delete(on);
}

/** The pod of a node, whoever made it. */
function podOf(on: StoryNode): Pick<StartedPod, 'path' | 'addresses'> {
  const pod = fresh.get(on);
  if (pod !== undefined) return pod;
  return { path: old.get(on)?.path ?? '', addresses: foreignAddresses(on.node) };
}

/** Each to the next, both families; gives those that were not answered meanwhile. */
async function whilePinging(action: () => Promise<void>): Promise<readonly number[]> {
  const pings = await Promise.all(
    story.nodes.flatMap((from, i) => {
      const to = story.nodes[(i + 1) % story.nodes.length];
      const addresses = to === undefined ? [] : podOf(to).addresses;
      return addresses.map((address) => startPinging(podOf(from).path, address));
    }),
  );
  await action();
  return (await Promise.all(pings.map((ping) => ping.end()))).flat();
}

/** Runs commands of the page; those that are for a node itself there. */
function runner(commands: readonly string[]) {
  return async (from: number, to: number, on?: StoryNode) => {
    for (const command of commands.slice(from, to)) {
      if (/^(?:kubectl|make) /.test(command)) {
        await story.run(command.replace(/(?<=[ =])NODE(?= |$)/, on?.node.name ?? 'NODE'));
      } else on?.files.run(command);
    }
  };
}

/** As long as it takes for a ping to be late. */
const settle = () => sleep(500);

test('all nodes at once, then one after the other drained', async () => {
  const commands = pageCommands(PAGE, 'From flannel').slice(0, 7);
  const drain = commands.findIndex((command) => command.startsWith('kubectl drain'));
  const run = runner(commands);
  expect(drain).toBe(3);
  expect(
    await whilePinging(async () => {
      await run(0, drain);
      await story.run('kubectl -n weft rollout status daemonset/weft');
      await settle();
    }),
  ).toEqual([]);
  for (const on of story.nodes) {
    await run(drain, commands.length, on);
    expect(await whilePinging(settle)).toEqual([]);
  }
  for (const on of story.nodes) expect(fresh.has(on)).toBe(true);
}, 180_000);

test('one node at a time: pods of either network reach each other for as long as one likes', async () => {
  const commands = pageCommands(PAGE, 'One node at a time').slice(6);
  const move = commands.findIndex((command) => command.includes(' NODE '));
  const drain = commands.findIndex((command) => command.startsWith('kubectl drain'));
  const run = runner(commands);
  expect([move > 0, drain > move]).toEqual([true, true]);
  expect(await whilePinging(() => run(0, move))).toEqual([]);
  for (const on of story.nodes) {
    expect(
      await whilePinging(async () => {
        await run(move, drain, on);
        await settle();
      }),
    ).toEqual([]);
    await run(drain, commands.length, on);
    // After the first of three one node is weft's, and two are flannel's.
    expect(await whilePinging(settle)).toEqual([]);
  }
  expect(fresh.size).toBe(story.nodes.length);
}, 180_000);
