import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { ManifestSource } from '../../../../src/kube/manifests/manifests.ts';
import {
  networkPolicies,
  podsOfNode,
  podsOfOtherNodes,
} from '../../../../src/kube/policy/resources.ts';
import type { NetworkPolicy, Pod } from '../../../../src/kube/policy/types.ts';
import { systemClock } from '../../../../src/util/clock.ts';
import { RecordingHandlers, recordingLog, until } from '../../../support/kube.ts';

let directory: string;
let abort: AbortController;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-policy-kinds-'));
  abort = new AbortController();
});
afterEach(() => {
  abort.abort();
  rmSync(directory, { recursive: true });
});

const pod = (name: string, nodeName: string) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'shop' } },
  ...{ spec: { nodeName, containers: [] }, status: { podIP: '10.0.0.1' } },
});
const policy = {
  ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
  ...{ metadata: { name: 'deny', namespace: 'shop' }, spec: { podSelector: {} } },
};

test('policies and both choices of pods come from files too, and a choice can end', async () => {
  const write = (...objects: readonly object[]) =>
    writeFileSync(join(directory, 'a.yaml'), objects.map((each) => stringify(each)).join('---\n'));
  write(pod('ours', 'n1'), pod('theirs', 'n2'), policy);
  const timings = { rescanMs: 20, debounceMs: 5, settleMs: 30 };
  const { log } = recordingLog();
  const source = new ManifestSource({ directory, clock: systemClock, log, timings });
  const [own, others] = [new RecordingHandlers<Pod>(), new RecordingHandlers<Pod>()];
  const policies = new RecordingHandlers<NetworkPolicy>();
  const ofNode = source.watch(podsOfNode('n1'), own);
  const ofOthers = source.watch(podsOfOtherNodes('n1'), others);
  const ofPolicies = source.watch(networkPolicies, policies);
  source.start(abort.signal);
  await Promise.all([ofNode.synced, ofOthers.synced, ofPolicies.synced]);
  expect([own.events, others.events, policies.events]).toEqual([
    ['add shop/ours'],
    ['add shop/theirs'],
    ['add shop/deny'],
  ]);
  ofOthers.close();
  write(pod('ours', 'n1'), pod('later', 'n1'), pod('more', 'n2'), policy);
  await until(() => own.events.includes('add shop/later'), 'the change');
  expect(others.events).toEqual(['add shop/theirs']);
});
