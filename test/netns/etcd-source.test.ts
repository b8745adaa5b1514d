/** Objects from Debian's etcd, on the loopback device: lists, watches, and what can go wrong with both. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { namespaces, networkPolicies, podsOfNode } from '../../src/kube/policy/resources.ts';
import type { Resource } from '../../src/kube/resources.ts';
import type { KubernetesObject } from '../../src/kube/types.ts';
import { createAuthority } from '../support/certificates.ts';
import { hostPlace, TestEtcd } from '../support/etcd.ts';
import { follow, putService, startEtcd } from '../support/etcd-source.ts';
import { RecordingHandlers, serviceObject } from '../support/kube.ts';
import { until } from '../support/until.ts';

/** Writes many at once, as etcdctl takes one transaction a line. */
function putMany(etcd: TestEtcd, count: number): void {
  const lines = Array.from({ length: count }, (_, i) => {
    const { metadata, ...object } = serviceObject(`s${i}`);
    return JSON.stringify({ ...object, metadata: { ...metadata, labels: { app: `s${i}` } } });
  });
  etcd.fill('/weft/services/default/s', lines);
}

test('values are objects with what their keys say; what has no effect is named', async () => {
  const etcd = await startEtcd();
  putService(etcd, 'a');
  etcd.put('/weft/services/default/short', { spec: { clusterIP: '172.30.0.11', ports: [] } });
  etcd.put('/weft/services/default/broken', '{');
  etcd.put('/weft/services/default/other', serviceObject('b'));
  etcd.put('/weft/services/default/none', serviceObject('none', { clusterIP: '' }));
  etcd.put('/weft/services/lonely', serviceObject('lonely'));
  const { handlers, synced, source } = follow(etcd.endpoints);
  await synced;
  expect([...handlers.objects.keys()].sort()).toEqual([
    'default/a',
    'default/none',
    'default/short',
  ]);
  const { uid, resourceVersion } = handlers.objects.get('default/a')?.metadata ?? {};
  expect([uid, resourceVersion]).toEqual(['etcd-00000000000000000002', '2']);
  const named = () =>
    source.passedOver.map(({ kind, keys, reason }) => `${kind} ${keys}: ${reason}`);
  expect(named().sort()).toEqual([
    'Service default/broken: the value is not a JSON object',
    'Service default/none: it has no clusterIP, and without an API server nobody allocates one',
    'Service default/other: metadata.name is "b", the key says other',
    'key /weft/services/lonely: expected /weft/services/<namespace>/<name>',
  ]);
  handlers.take();
  putService(etcd, 'broken');
  await until('it is mended', () => handlers.objects.has('default/broken'));
  etcd.put('/weft/services/default/a', 'x');
  etcd.ctl('del', '/weft/services/default/other');
  etcd.ctl('del', '/weft/services/default/short');
  await until('one is gone', () => !handlers.objects.has('default/short'));
  // A value that cannot be read leaves what was there.
  expect(handlers.take()).toEqual(['add default/broken', 'delete default/short']);
  expect(named().map((text) => text.split(':')[0])).toContain('Service default/a');
  expect(named().join()).not.toContain('other');
});

test('an etcd that was killed, compacted, or restored to older data is read again', async () => {
  const etcd = await startEtcd();
  for (const name of ['a', 'b', 'c']) putService(etcd, name);
  const { handlers, synced, source, log } = follow(etcd.endpoints);
  await synced;
  const [reading] = source.counts();
  await etcd.kill();
  await etcd.start();
  putService(etcd, 'd');
  await until('the watch goes on', () => handlers.objects.has('default/d'));
  expect(reading?.counts.lists).toBe(1);

  etcd.save('then');
  await etcd.kill();
  await etcd.start();
  etcd.ctl('del', '/weft/services/default/a');
  putService(etcd, 'e');
  etcd.ctl('compact', String(etcd.revision()));
  await until('all is as it is', () => handlers.objects.has('default/e'));
  await until('a is gone', () => !handlers.objects.has('default/a'));

  handlers.take();
  const startedAt = performance.now();
  await etcd.restore('then');
  await until('it is as it was then', () => handlers.objects.has('default/a'));
  await until('e is gone', () => !handlers.objects.has('default/e'));
  expect(handlers.take().sort()).toEqual(['add default/a', 'delete default/e']);
  expect(log.text()).toContain('the server went back to older data');
  expect(performance.now() - startedAt).toBeLessThan(20_000);
  putService(etcd, 'f');
  await until('it goes on from there', () => handlers.objects.has('default/f'));
});

test('policies, namespaces and pods are read as from an API server, or from files', async () => {
  const etcd = await startEtcd();
  etcd.put('/weft/namespaces/shop', { metadata: { labels: { team: 'a' } } });
  etcd.put('/weft/networkpolicies/shop/deny', { spec: { podSelector: {} } });
  etcd.put('/weft/networkpolicies/shop/wrong', {
    spec: { podSelector: { matchLabels: { app: 'cart' } }, ingress: 7 },
  });
  etcd.put('/weft/networkpolicies/shop/none', 'x');
  etcd.put('/weft/pods/shop/cart', {
    spec: { nodeName: 'node-a' },
    status: { podIP: '10.244.1.7', podIPs: [{ ip: '10.244.1.7' }] },
  });
  const { source } = follow(etcd.endpoints);
  const told = <T extends KubernetesObject>(resource: Resource<T>) => {
    const handlers = new RecordingHandlers<T>();
    source.watch(resource, handlers);
    return handlers.objects;
  };
  const [spaces, policies, here, there] = [
    told(namespaces),
    told(networkPolicies),
    told(podsOfNode('node-a')),
    told(podsOfNode('node-b')),
  ];
  await until('all is read', () => source.hasSynced());
  expect([...spaces.keys(), ...here.keys(), ...there.keys()]).toEqual(['shop', 'shop/cart']);
  // One that cannot be read closes whom it selects.
  expect(policies.get('shop/deny')?.unreadable).toBeUndefined();
  expect(policies.get('shop/wrong')?.unreadable?.problem).toContain('it closes whom it selects');
  expect(policies.get('shop/none')?.unreadable?.problem).toContain('it closes its namespace');
});

test('10,000 objects, page by page at one revision', async () => {
  const etcd = await startEtcd();
  putMany(etcd, 10_000);
  const startedAt = performance.now();
  const { handlers, synced, source } = follow(etcd.endpoints);
  await synced;
  const tookMs = performance.now() - startedAt;
  console.log(`10,000 objects cold in ${Math.round(tookMs)} ms`);
  expect(handlers.objects.size).toBe(10_000);
  expect(source.counts()[0]?.counts.lists).toBe(1);
  // One second on a quiet machine.
  expect(tookMs).toBeLessThan(4_000);
});

test('a list that takes away more than half is not believed at once', async () => {
  const etcd = await startEtcd();
  putService(etcd, 'a');
  etcd.save('empty');
  putMany(etcd, 40);
  const { handlers, synced, log } = follow(etcd.endpoints, { holdMs: 60_000 });
  await synced;
  await etcd.restore('empty');
  await until('the list came', () => log.text().includes('deletions are held back'));
  putService(etcd, 'last');
  await until('it goes on', () => handlers.objects.has('default/last'));
  expect(handlers.objects.size).toBe(42);
});

test('tokens are renewed, and a wrong password is said', async () => {
  const etcd = await startEtcd({ flags: ['--auth-token-ttl', '1'] });
  putService(etcd, 'a');
  etcd.enableUser('weft', 's3cret', [['read', '/weft/']]);
  const well = follow(etcd.endpoints, { user: { name: 'weft', password: () => 's3cret' } });
  await well.synced;
  const asked = await well.gateway.ask(tokenQuestion());
  expect(asked['count']).toBeUndefined();
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  // The token of before is over by now, and nobody notices.
  expect((await well.gateway.ask(tokenQuestion()))['header']).toBeDefined();
  const ill = follow(etcd.endpoints, { user: { name: 'weft', password: () => 'wr0ng' } });
  await until('it is refused', () => ill.problem()?.words === 'etcd refuses user and password');
  const nobody = follow(etcd.endpoints);
  await until('it is asked', () => nobody.problem()?.words === 'etcd asks who we are');
  for (const { log } of [well, ill]) expect(log.text()).not.toMatch(/s3cret|wr0ng/);
});

function tokenQuestion() {
  const body = { key: Buffer.from('/weft/x').toString('base64') };
  return { path: '/v3/kv/range', body, isRead: true, signal: AbortSignal.timeout(10_000) };
}

test('TLS with a client certificate; a gateway that is switched off says so', async () => {
  const authority = createAuthority();
  const server = authority.issue('etcd', ['IP:127.0.0.1']);
  const client = authority.issue('weft');
  const place = new TestEtcd(hostPlace());
  onTestFinished(() => place.remove());
  const file = (name: string, text: string) => {
    const path = join(place.directory, name);
    writeFileSync(path, text);
    chmodSync(path, 0o600);
    return path;
  };
  const [ca, cert, key] = [
    file('ca', authority.certificate),
    file('cert', server.certificate),
    file('key', server.key),
  ];
  const etcd = await startEtcd({
    scheme: 'https',
    flags: [
      ...['--client-cert-auth', '--trusted-ca-file', ca, '--cert-file', cert, '--key-file', key],
    ],
    clientFlags: [
      ...['--cacert', ca, '--cert', file('c', client.certificate), '--key', file('k', client.key)],
    ],
  });
  putService(etcd, 'a');
  const trusted = { certificateAuthority: authority.certificate };
  const credential = { ...trusted, clientCertificate: client.certificate, clientKey: client.key };
  const well = follow(etcd.endpoints, { credential });
  await well.synced;
  putService(etcd, 'b');
  await until('the event came', () => well.handlers.objects.has('default/b'));
  const nobody = follow(etcd.endpoints, { credential: trusted });
  await until('it is refused', () => nobody.problem()?.words.includes('refuses the connection'));
  const strange = follow(etcd.endpoints, {
    credential: { ...credential, certificateAuthority: createAuthority().certificate },
  });
  await until('it is not trusted', () => strange.problem()?.cure.includes('--etcd-ca'));

  const off = await startEtcd({ flags: ['--enable-grpc-gateway=false'] });
  const silent = follow(off.endpoints);
  await until('it is said', () => silent.problem()?.words.includes('gateway is switched off'));
});
