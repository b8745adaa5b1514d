import { expect, test } from 'vitest';
import { nodes } from '../../../../src/kube/resources.ts';
import { SharedObjects } from '../../../../src/kube/shared-objects.ts';
import type { Node } from '../../../../src/kube/types.ts';
import { systemClock } from '../../../../src/util/clock.ts';
import { RecordingHandlers, until } from '../../../support/kube.ts';
import {
  abort,
  listRequests,
  prepare,
  server,
  useApiServer,
  watchRequests,
} from './reflector-setup.ts';

useApiServer();

/** As the node controller and the kubelet leave it. */
function nodeObject(
  index: number,
  more: { uid?: string; heartbeat?: number; taint?: string } = {},
) {
  const { uid = `uid-${index}`, heartbeat = 0, taint } = more;
  return {
    kind: 'Node',
    metadata: { name: `n${index}`, uid, labels: { 'kubernetes.io/hostname': `n${index}` } },
    spec: {
      podCIDRs: [`10.244.${index}.0/24`],
      ...(taint === undefined ? {} : { taints: [{ key: taint, effect: 'NoSchedule' }] }),
    },
    status: {
      addresses: [{ type: 'InternalIP', address: `192.168.0.${index}` }],
      conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: `T${heartbeat}` }],
    },
  };
}

async function watchNodes(count: number, holdMs = 60_000) {
  const { source, log } = await prepare({ source: { massDeletionHoldMs: holdMs } });
  for (let index = 0; index < count; index++) server.put('nodes', nodeObject(index));
  const shared = new SharedObjects(source, systemClock);
  const [all, own] = [new RecordingHandlers<Node>(), new RecordingHandlers<Node>()];
  const subscriptions = [shared.watch(nodes('n1'), own), shared.watch(nodes(), all)];
  shared.start(abort.signal);
  await Promise.all(subscriptions.map(({ synced }) => synced));
  await until(() => server.watchCount === 1, 'the watch');
  expect(all.take()).toHaveLength(count);
  expect(own.take()).toEqual(['add n1']);
  return { source, all, own, log };
}

test('the own Node needs no request beside that for all Nodes', async () => {
  const { all, own } = await watchNodes(3);
  server.put('nodes', nodeObject(1, { taint: 'ToBeDeletedByClusterAutoscaler' }));
  await until(() => own.events.length > 0);
  expect([all.events, own.events]).toEqual([['update n1'], ['update n1']]);
  expect([listRequests().length, watchRequests().length]).toEqual([1, 1]);
});

test('a heartbeat, and whatever else is not read, is no update', async () => {
  const { source, all } = await watchNodes(3);
  for (let heartbeat = 1; heartbeat < 20; heartbeat++) {
    server.put('nodes', nodeObject(heartbeat % 3, { heartbeat }));
  }
  server.put('nodes', nodeObject(0, { taint: 'node.kubernetes.io/unreachable' }));
  server.delete('nodes', 'n2');
  await until(() => all.events.length > 0);
  expect(all.events).toEqual(['delete n2']);
  expect(source.counts()[0]?.counts.events).toBeGreaterThan(19);
});

test('a Node deleted and made again while nobody watched is an update with another uid', async () => {
  const { all } = await watchNodes(3);
  server.deleteSilently('nodes', 'n2');
  server.putSilently('nodes', nodeObject(2, { uid: 'other' }));
  server.watches.sendError(410, 'Expired');
  await until(() => all.events.length > 0);
  expect(all.events).toEqual(['update n2']);
  expect(all.objects.get('n2')?.metadata.uid).toBe('other');
});

test('a list that lacks more than half of the Nodes is not believed at once', async () => {
  const { source, all } = await watchNodes(3);
  server.isListed = (object) => object.metadata.name === 'n0';
  server.watches.sendError(410, 'Expired');
  await until(() => source.counts()[0]?.counts.withheld === 2);
  expect(all.events).toEqual([]);
  server.delete('nodes', 'n2');
  await until(() => all.events.length > 0);
  expect(all.events).toEqual(['delete n2']);
});
