import { expect, test } from 'vitest';
import {
  clusterNetworkPolicies,
  podsOfNode,
  podsOfOtherNodes,
} from '../../../../src/kube/policy/resources.ts';
import type { ClusterNetworkPolicy, Pod } from '../../../../src/kube/policy/types.ts';
import { RecordingHandlers, until } from '../../../support/kube.ts';
import { abort, prepare, server, useApiServer, watchRequests } from '../api/reflector-setup.ts';

useApiServer();

const podObject = (name: string, nodeName: string | undefined, more: object = {}) => ({
  kind: 'Pod',
  metadata: { name, namespace: 'shop', labels: { app: 'web' } },
  spec: { nodeName },
  status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }] },
  ...more,
});

test('pods of this node and those of others are told apart', async () => {
  const { source } = await prepare();
  server.put('pods', podObject('ours', 'n1'));
  server.put('pods', podObject('theirs', 'n2'));
  server.put('pods', podObject('waiting', undefined));
  server.put('pods', podObject('ended', 'n2', { status: { phase: 'Succeeded' } }));
  server.put('pods', podObject('of-node', 'n2', { spec: { nodeName: 'n2', hostNetwork: true } }));
  const [own, others] = [new RecordingHandlers<Pod>(), new RecordingHandlers<Pod>()];
  const read = [
    source.watch(podsOfNode('n1'), own).synced,
    source.watch(podsOfOtherNodes('n1'), others).synced,
  ];
  source.start(abort.signal);
  await Promise.all(read);
  expect([own.events, others.events]).toEqual([['add shop/ours'], ['add shop/theirs']]);
});

test('a watch that nobody needs ends, and the state no longer waits for it', async () => {
  const { source } = await prepare();
  server.put('pods', podObject('theirs', 'n2'));
  const own = source.watch(podsOfNode('n1'), new RecordingHandlers<Pod>());
  const handlers = new RecordingHandlers<Pod>();
  const others = source.watch(podsOfOtherNodes('n1'), handlers);
  source.start(abort.signal);
  await Promise.all([own.synced, others.synced]);
  await until(() => watchRequests().length === 2, 'both to be watched');
  others.close();
  await until(() => server.watches.size === 1, 'the watch to end');
  server.put('pods', podObject('later', 'n2'));
  expect(source.counts()).toHaveLength(1);
  expect(source.hasSynced()).toBe(true);
  expect(handlers.events).toEqual(['add shop/theirs']);
});

test('policies of the cluster that may not be read are no policies that are missing', async () => {
  const { source } = await prepare();
  server.failNext(() => true, 403);
  source.watch(clusterNetworkPolicies, new RecordingHandlers<ClusterNetworkPolicy>());
  source.start(abort.signal);
  await until(() => source.counts()[0]?.counts.failing !== undefined, 'the refusal');
  expect(source.hasSynced()).toBe(false);
});

const { decode } = podsOfNode('n1');
const decoded = (metadata: object, ports: readonly object[] = []) =>
  decode({ metadata: { name: 'a', ...metadata }, spec: { containers: [{ ports }] } }, 'lenient');

test('a static pod has the uid that its node knows it by', () => {
  const annotations = { 'kubernetes.io/config.mirror': 'of-file', 'other.io/x': 'y' };
  const { metadata } = decoded({ uid: 'of-mirror', annotations });
  expect([metadata.uid, metadata.annotations]).toEqual(['of-file', undefined]);
  expect(decoded({ uid: 'u1' }).metadata.uid).toBe('u1');
});

test('pods that are alike share labels and ports, and keep only ports with a name', () => {
  const ports = [{ name: 'http', containerPort: 80 }, { containerPort: 81 }];
  const [one, other] = [
    decoded({ labels: { a: 'b' } }, ports),
    decoded({ labels: { a: 'b' } }, ports),
  ];
  expect(one.metadata.labels).toBe(other.metadata.labels);
  expect(one.ports).toBe(other.ports);
  expect(one.ports).toEqual([{ name: 'http', protocol: 'TCP', port: 80 }]);
});
