/** What the last run knew of policies counts when the first list of the next one takes half of them away. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { networkPolicies } from '../../../../src/kube/policy/resources.ts';
import type { NetworkPolicy } from '../../../../src/kube/policy/types.ts';
import { services } from '../../../../src/kube/resources.ts';
import type { Service } from '../../../../src/kube/types.ts';
import { RecordingHandlers, serviceObject, until } from '../../../support/kube.ts';
import {
  abort,
  connect,
  directory,
  prepare,
  type Setup,
  server,
  useApiServer,
} from '../api/reflector-setup.ts';

useApiServer();

const NAMES = ['a', 'b', 'c', 'd'];

function policyObject(name: string) {
  const metadata = { namespace: 'x', name };
  return { kind: 'NetworkPolicy', metadata, spec: { podSelector: {}, policyTypes: ['Ingress'] } };
}

function run({ source, log }: Awaited<ReturnType<typeof connect>>) {
  const ending = new AbortController();
  abort.signal.addEventListener('abort', () => ending.abort());
  const policies = new RecordingHandlers<NetworkPolicy>();
  const web = new RecordingHandlers<Service>();
  const subscriptions = [source.watch(networkPolicies, policies), source.watch(services, web)];
  source.start(ending.signal);
  const synced = Promise.all(subscriptions.map((subscription) => subscription.synced));
  return { source, log, policies, web, synced, stop: () => ending.abort() };
}

/** A second run whose server has lost most of everything. */
async function begin(settings: Setup['source'] = {}) {
  const options = { stateDirectory: join(directory, 'state'), restoreAfterMs: 60_000 };
  const connected = await prepare({ source: options });
  for (const name of NAMES) server.put('networkpolicies', policyObject(name));
  for (const name of NAMES) server.put('services', serviceObject(name));
  const first = run(connected);
  await first.synced;
  first.stop();
  await first.source.saveState();
  for (const name of NAMES.slice(1)) {
    server.deleteSilently('networkpolicies', `x/${name}`);
    server.deleteSilently('services', `default/${name}`);
  }
  const second = run(await connect({ source: { ...options, ...settings } }));
  await second.synced;
  return second;
}

test('policies are held, Services are not: those open nothing', async () => {
  const { policies, web, source, log } = await begin();
  expect([...policies.objects.keys()].sort()).toEqual(NAMES.map((name) => `x/${name}`));
  expect(source.counts()[0]?.counts.withheld).toBe(3);
  expect(web.objects.size).toBe(1);
  expect(log.text()).toContain('list takes away half or more');
});

test('a later list confirms them', async () => {
  const { policies } = await begin({ massDeletionHoldMs: 100 });
  await until(() => policies.objects.size === 1);
});

test('they are believed at once where that is allowed', async () => {
  const { policies } = await begin({ allowMassDeletion: true });
  expect(policies.objects.size).toBe(1);
});
