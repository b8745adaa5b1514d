/**
 * README's five commands, from an empty cluster to pods that reach each other, and docs/operate.md's upgrade and
 * rollback under pings: the pages' own commands. The image is loaded in test/runtime/image.test.ts.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pageCommands } from '../support/page-commands.ts';
import { podObject } from '../support/policy-objects.ts';
import { type StartedPod, startPod } from '../support/stories/node-pods.ts';
import { startPinging } from '../support/stories/pinging.ts';
import { StoryCluster } from '../support/stories/story-cluster.ts';

let story: StoryCluster;
let pods: readonly StartedPod[] = [];
/** What was asked of programs that are not ours. */
const asked: string[] = [];

beforeAll(async () => {
  story = await StoryCluster.create('five', {
    ...{ nodeCount: 2, isEmpty: true },
    programs: {
      async make(words) {
        asked.push(`make ${words.join(' ')}`);
        const targets = words.filter((word) => word !== 'image');
        return execFileSync('/usr/bin/make', targets, {
          cwd: story.cluster.directory,
          encoding: 'utf8',
        });
      },
      async kubeadm(words) {
        asked.push(`kubeadm ${words.join(' ')}`);
        story.putNodes();
        return '';
      },
      async ctr(words) {
        asked.push(`ctr ${words.join(' ')}`);
        return '';
      },
    },
  });
}, 60_000);

afterAll(() => story?.remove());

test('five commands make pods of two nodes reach each other', async () => {
  const commands = pageCommands('README.md', 'A cluster in five commands').slice(0, 5);
  expect(commands).toEqual(pageCommands('docs/install.md', 'One file').slice(0, 5));
  for (const command of commands) await story.run(command);
  expect(asked).toEqual(commands.slice(0, 3));
  story.put('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
  pods = await Promise.all(
    story.nodes.map((on) => {
      const name = `pod-${on.node.name}`;
      const object = podObject(`default/${name}`, { node: on.node.name });
      story.put('pods', { apiVersion: 'v1', kind: 'Pod', ...(object as object) });
      return startPod(on, name);
    }),
  );
  const [one, two] = pods as [StartedPod, StartedPod];
  expect(two.addresses).toHaveLength(2);
  for (const address of two.addresses) {
    const ping = await startPinging(one.path, address);
    expect(await ping.end()).toEqual([]);
  }
}, 120_000);

test('an upgrade, and the way back, lose no ping', async () => {
  const commands = pageCommands('docs/operate.md', 'Upgrade and rollback');
  expect(commands.map((command) => command.split(' ').slice(0, 5).join(' '))).toEqual([
    'kubectl apply -f dist/weft.yaml',
    'kubectl -n weft rollout status',
    'kubectl -n weft rollout undo',
  ]);
  const file = join(story.cluster.directory, 'dist/weft.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/weft\.dev\/weft:[\d.]+/g, '$&-next'));
  const [one, two] = pods as [StartedPod, StartedPod];
  const pings = await Promise.all([
    ...two.addresses.map((address) => startPinging(one.path, address)),
    ...one.addresses.map((address) => startPinging(two.path, address)),
  ]);
  for (const command of commands) await story.run(command);
  for (const ping of pings) expect(await ping.end()).toEqual([]);
}, 120_000);
